// An ordinary user whose service manager has delegated a part of the cgroup tree.
import { chownSync, existsSync, readFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { beforeAll, expect } from "vitest";
import type { Container, CommandOptions } from "../../support/container.ts";
import { describeRuntime } from "../../support/contract.ts";
import type { Spec } from "../../support/spec.ts";

const MiB = 1 << 20;
/** guest/customize of test/qemu makes the user. */
const uid = 1000;
const manager = `/user.slice/user-${uid}.slice/user@${uid}.service`;

const variables = { XDG_RUNTIME_DIR: `/run/user/${uid}`, HOME: "/home/tester", USER: "tester" };
const asUser = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--init-groups"];
const user: CommandOptions = { prefix: asUser, env: variables };
/**
 * In a scope that is delegated, of which the caller has left the top as it must: no cgroup has both processes and cgroups with controllers.
 * In the one above, the manager's, a controller that we hand down may be taken back at any time.
 */
const inScope: CommandOptions = {
  prefix: [...asUser, "systemd-run", "--user", "--scope", "--quiet", "--property=Delegate=yes", "--", "sh", "-c",
    'g=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); mkdir "$g/self" && echo $$ > "$g/self/cgroup.procs" && exec "$@"', "sh"],
  env: variables,
};

beforeAll(() => {
  const { status, stderr } = spawnSync("systemctl", ["start", `user@${uid}.service`], { encoding: "utf8" });
  expect(status, stderr).toBe(0);
});

function rootless(spec: Spec): void {
  spec.linux.namespaces.push({ type: "user" }, { type: "cgroup" });
  spec.linux.uidMappings = spec.linux.gidMappings = [{ containerID: 0, hostID: uid, size: 1 }];
  // tty's group is not mapped.
  for (const mount of spec.mounts) mount.options = mount.options?.filter((option) => option !== "gid=5") ?? [];
  spec.linux.resources = { ...spec.linux.resources, memory: { limit: 64 * MiB, swap: 64 * MiB }, cpu: { quota: 20_000, period: 50_000 }, pids: { limit: 40 } };
}

function give(c: Container): void {
  for (const path of [c.bundle.dir, c.rootfs, c.stateRoot]) chownSync(path, uid, uid);
}

const cgroupOf = (pid: number) => readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice("0::".length);

/** Has its limits, takes an update and an exec, can be paused, killed and deleted: every command as the user. */
async function lives(c: Container, path: RegExp, options: CommandOptions): Promise<void> {
  await c.mustCreate(options);
  await c.mustCommand("start", [], user);
  const cgroup = cgroupOf(c.pid);
  expect(cgroup).toMatch(path);
  const read = (file: string) => readFileSync(`/sys/fs/cgroup${cgroup}/${file}`, "utf8").trim();
  expect([read("memory.max"), read("memory.swap.max"), read("cpu.max"), read("pids.max")]).toEqual([String(64 * MiB), "0", "20000 50000", "40"]);
  await c.mustCommand("update", [], { ...user, flags: ["--pids-limit", "55"] });
  expect(read("pids.max")).toBe("55");
  // From a cgroup of the manager's: a process may not be moved between subtrees of different owners.
  expect(await c.mustExec(["sh", "-c", "id -u; cat /proc/self/cgroup"], options)).toBe("0\n0::/\n");
  await c.mustCommand("pause", [], user);
  expect(read("cgroup.events")).toContain("frozen 1");
  const deleted = await c.command("delete", [], { ...user, flags: ["--force"] });
  expect(deleted, deleted.stderr).toMatchObject({ code: 0, stderr: "" });
  expect(existsSync(`/sys/fs/cgroup${cgroup}`)).toBe(false);
  await c.expectNothingLeft();
}

describeRuntime("rootless with a delegated cgroup", ({ test, make }) => {
  test("systemd driver: the user's manager makes the scope, with the limits", async () => {
    await using c = make({ args: ["sleep", "1000"], edit: (spec, { id }) => {
      rootless(spec);
      spec.linux.cgroupsPath = `user.slice:lane:${id}`;
    } });
    give(c);
    await lives(c, new RegExp(`^${manager}/user.slice/lane-${c.id}.scope$`), { ...user, global: ["--systemd-cgroup"] });
  });

  test("file system driver: the container's cgroup is made beside the caller's, in its scope", async () => {
    await using c = make({ args: ["sleep", "1000"], edit: (spec) => {
      rootless(spec);
      delete spec.linux.cgroupsPath;
    } });
    give(c);
    await lives(c, new RegExp(`^${manager}/app.slice/run-\\w+.scope/${c.id}$`), inScope);
  });

  test("a limit of a controller that the user was not given is refused by name and leaves nothing", async () => {
    await using c = make({ edit: (spec) => {
      rootless(spec);
      delete spec.linux.cgroupsPath;
      spec.linux.resources = { ...spec.linux.resources, cpu: { cpus: "0" } };
    } });
    give(c);
    expect(await c.create(inScope)).toMatchObject({ code: 1, stderr: expect.stringMatching(/linux\.resources: limits were asked for, .*cpuset/) });
    await c.expectNothingLeft();
  });
});
