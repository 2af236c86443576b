/** What only a shim of our own is asked: sandboxes, containerd's restart, the death of any of its processes, loggers, pods. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mountRoot, unmountRoot } from "../../shim/rootfs.ts";
import { Containerd } from "./containerd.ts";
import { BUSYBOX } from "./images.ts";
import { ownShim } from "./shim-driver.ts";
import { eventually, execute, isAlive, parentOf } from "./support.ts";

const RELEASE = "6.12.0-tssandbox";

let containerd: Containerd;
beforeAll(async () => {
  containerd = await Containerd.startFor(ownShim("sentry"), BUSYBOX);
});
afterAll(async () => containerd?.[Symbol.asyncDispose]());

const start = (id: string, ...options: string[]) => containerd.background(id, BUSYBOX, options, "sleep", "1000");
const exec = (id: string, name: string, script: string) => containerd.ctr("task", "exec", "--exec-id", name, "--fifo-dir", containerd.fifos, id, "sh", "-c", script);

/** The processes of a container's sandbox, by their pids on the host. */
function sandboxOf(id: string): { sentry: { pid: number }; gofers: { pid: number }[] } {
  return JSON.parse(readFileSync(containerd.workspace.path("runtime/tss", id, "sandbox.json"), "utf8")) as ReturnType<typeof sandboxOf>;
}

async function stoppedBy(id: string, victim: number): Promise<void> {
  process.kill(victim, "SIGKILL");
  await eventually("it stops", async () => (await containerd.task(id))?.status === "STOPPED");
  await eventually("its end is told", () => containerd.events(id).includes("/tasks/exit"));
}

async function removed(id: string): Promise<void> {
  await containerd.remove(id);
  await containerd.expectNothingLeft(id);
}

/** Starts a container whose output a logger takes, which does `then` when it has said that it is ready. */
async function logged(id: string, then: string, ...command: string[]): Promise<void> {
  const { workspace } = containerd;
  const logger = workspace.path(`${id}.sh`);
  writeFileSync(logger, `#!/bin/sh\necho $$ >$0.pid\nexec 5>&-\n${then}\n`);
  chmodSync(logger, 0o755);
  await containerd.ok("run", "--detach", ...ownShim("sentry").arguments(workspace), "--cgroup", `${workspace.cgroup}/${id}`, "--log-uri", `binary://${logger}`, BUSYBOX.name, id, ...command);
}

describe("a sandbox", () => {
  test("streams, and the exit code", async () => {
    const done = await containerd.run("streams", BUSYBOX, [], ["sh", "-c", "echo ready; head -n1; uname -r >&2; exit 7"], { dialogue: [[/ready\n/, "line\n"]] });
    expect(done).toEqual({ code: 7, stdout: "ready\nline\n", stderr: `${RELEASE}\n` });
    await containerd.expectNothingLeft("streams");
  });

  test("exec, pause, resume, metrics", async () => {
    await start("task");
    expect(await exec("task", "one", "uname -r; exit 3")).toMatchObject({ code: 3, stdout: `${RELEASE}\n` });
    await containerd.ok("task", "pause", "task");
    expect((await containerd.task("task"))?.status).toBe("PAUSED");
    await containerd.ok("task", "resume", "task");
    const { pids } = JSON.parse(await containerd.ok("task", "metrics", "--format", "json", "task")) as { pids: { current: number } };
    expect(pids.current).toBe(1);
    await removed("task");
  });

  test("whose sentry is killed ends; containerd is told, and nothing is left", async () => {
    await start("sentry");
    await stoppedBy("sentry", sandboxOf("sentry").sentry.pid);
    expect((await containerd.ctr("task", "delete", "sentry")).stderr).toContain("exit code 137");
    await removed("sentry");
  });

  test("whose gofer is killed ends, too", async () => {
    await start("gofer");
    await stoppedBy("gofer", sandboxOf("gofer").gofers[0]?.pid ?? 0);
    await removed("gofer");
  });

  test("whose shim is killed ends: containerd has the shim's program remove what is left", async () => {
    await start("orphan");
    const { sentry, gofers } = sandboxOf("orphan");
    const all = [sentry, ...gofers].map(({ pid }) => pid).concat(await containerd.pid("orphan"));
    process.kill(await containerd.shim("orphan"), "SIGKILL");
    await eventually("all of it ends", () => all.every((pid) => !isAlive(pid)));
    await removed("orphan");
  });
});

test("a root file system of 100 layers", () => {
  const bundle = containerd.workspace.path("layers/bundle");
  const layers = Array.from({ length: 100 }, (_, n) => containerd.workspace.path("layers/a-directory-with-a-long-name-to-fill-the-page", `${n}`));
  for (const [n, layer] of layers.entries()) {
    mkdirSync(layer, { recursive: true });
    writeFileSync(join(layer, `file-${n}`), "");
  }
  mkdirSync(bundle);
  const before = process.cwd();
  mountRoot(bundle, [{ type: "overlay", source: "overlay", target: "", options: ["ro", `lowerdir=${layers.join(":")}`] }]);
  process.chdir(before);
  expect(readdirSync(join(bundle, "rootfs")).length).toBe(100);
  unmountRoot(bundle);
  expect(readdirSync(join(bundle, "rootfs"))).toEqual([]);
});

test("init runs out of memory: the OOM event comes before the exit", async () => {
  await containerd.background("oom", BUSYBOX, ["--memory-limit", String(32 << 20)], "tail", "/dev/zero");
  await eventually("its end is told", () => containerd.events("oom").includes("/tasks/exit"));
  expect(containerd.events("oom")).toEqual(["/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit"]);
  await removed("oom");
});

test("containerd's restart: the task runs on, is exec'd into and ends as if nothing had been", async () => {
  await start("lasting");
  const [init, shim] = [await containerd.pid("lasting"), await containerd.shim("lasting")];
  await containerd.restart();
  expect(await containerd.task("lasting")).toEqual({ pid: init, status: "RUNNING" });
  expect(parentOf(init)).toBe(shim);
  expect(await exec("lasting", "after", "echo still; exit 2")).toMatchObject({ code: 2, stdout: "still\n" });
  await stoppedBy("lasting", init);
  await removed("lasting");
});

test("containers of a pod have one shim, which ends with the last", async () => {
  const pod = ["--annotation", "io.kubernetes.cri.sandbox-id=pod", "--annotation", "dev.tssandbox.mode=sentry"];
  await start("pod", ...pod);
  await start("second", ...pod);
  const shim = await containerd.shim("pod");
  expect(await containerd.shim("second")).toBe(shim);
  await containerd.remove("second");
  expect(isAlive(shim)).toBe(true);
  expect((await exec("pod", "still", "echo there")).stdout).toBe("there\n");
  await removed("pod");
});

/** Calls the shim as containerd does, for a container that is never made. */
async function lonely(name: string, more: Readonly<Record<string, string>> = {}) {
  const bundle = containerd.workspace.path(name);
  mkdirSync(bundle);
  writeFileSync(join(bundle, "config.json"), "{}");
  const shim = fileURLToPath(new URL("../../bin/containerd-shim-tssandbox-v1", import.meta.url));
  return execute([shim, "-namespace", "tss", "-address", bundle, "-id", name, "start"], { cwd: bundle, env: { ...containerd.workspace.env, ...more } });
}

test("a shim that is never asked for a task, since containerd has died, ends by itself", async () => {
  const socket = (await lonely("lonely")).stdout.replace("unix://", "");
  expect(existsSync(socket)).toBe(true);
  await eventually("it ends", () => !existsSync(socket) && containerd.processes().length === 0, 90);
});

test("core scheduling: a cookie where the kernel has it, else no shim", async () => {
  const { code, stdout, stderr } = await lonely("cookie", { SCHED_CORE: "1" });
  if (code === 0) expect(stdout).toMatch(/^unix:/);
  else expect([code, stderr]).toEqual([1, expect.stringMatching(/^containerd-shim-tssandbox-v1: SCHED_CORE: prctl PR_SCHED_CORE: .*: this machine has no core scheduling; .*\n$/)]);
  await eventually("it ends", () => containerd.processes().length === 0, 90);
});

describe("the log goes", () => {
  const script = "echo out; echo err >&2";

  test("to a file", async () => {
    const file = containerd.workspace.path("logs/file.log");
    await containerd.run("file", BUSYBOX, ["--log-uri", `file://${file}`], ["sh", "-c", script]);
    await eventually("all is there", () => existsSync(file) && readFileSync(file, "utf8").split("\n").sort().join(" ") === " err out");
  });

  test("to a file for which there is no room: the container goes on", async () => {
    expect((await containerd.run("full", BUSYBOX, ["--log-uri", "file:///dev/full"], ["sh", "-c", "yes | head -c 1000000; exit 5"])).code).toBe(5);
    await containerd.expectNothingLeft("full");
  });

  test("to a logger, which gets both streams and its arguments", async () => {
    const logger = containerd.workspace.path("logger");
    const file = containerd.workspace.path("logger.log");
    writeFileSync(logger, `#!/bin/sh\nexec >${file}\necho "$CONTAINER_NAMESPACE $CONTAINER_ID $*"\nexec 5>&-\ncat <&3\ncat <&4\n`);
    chmodSync(logger, 0o755);
    await containerd.run("logged", BUSYBOX, ["--log-uri", `binary://${logger}?tag=x`], ["sh", "-c", script]);
    await eventually("all is there", () => existsSync(file) && readFileSync(file, "utf8") === "tss logged tag x\nout\nerr\n");
  });

  test("to a logger that ends before the container, and to one that does not end with it: neither keeps it from going", async () => {
    await logged("short", "exit 1", "sh", "-c", "while :; do echo line; sleep 0.1; done");
    await logged("long", "exec sleep 1000", "sleep", "1000");
    const logger = Number(readFileSync(containerd.workspace.path("long.sh.pid"), "utf8"));
    expect(isAlive(logger)).toBe(true);
    await containerd.remove("short");
    await removed("long");
    expect(isAlive(logger)).toBe(false);
  });

  test("to a logger that there is not: told, and nothing is left", async () => {
    const refused = await containerd.run("nowhere", BUSYBOX, ["--log-uri", "binary:///no/such/logger"], ["true"]);
    expect(refused.stderr).toContain("/no/such/logger");
    await containerd.expectNothingLeft("nowhere");
  });
});
