/** Pods by the CRI socket, under each handler: what the kubelet does, and nothing left on the node afterwards. By whichever containerd. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ContainerState, PodSandboxState } from "./cri/generated/cri_pb.js";
import { HANDLERS } from "./cri/node.ts";
import { LOOP, type Pod, Pods } from "./cri/pods.ts";
import { eventually } from "./support.ts";

/** @param binaries where containerd is, unless the one is meant that is installed. */
export function criSuite(binaries?: () => Promise<string>): void {
  let pods: Pods;
  beforeAll(async () => {
    pods = await Pods.start(await binaries?.());
  });
  afterAll(async () => pods?.[Symbol.asyncDispose]());

  describe.each(["namespace", "sentry"] as const)("%s", (mode) => {
    const handler = HANDLERS[mode];
    let pod: Pod;
    let [first, second] = ["", ""];
    let shared = "";

    beforeAll(async () => {
      shared = pods.containerd.workspace.path(`shared-${mode}`);
      mkdirSync(shared, { mode: 0o777 });
      pod = await pods.run(mode, handler);
      const mounts = [{ containerPath: "/shared", hostPath: shared }];
      first = await pod.start("first", `echo begins; echo complains >&2; ${LOOP}`, { mounts, resources: { memoryLimitInBytes: 64n << 20n, cpuShares: 512n } });
      second = await pod.start("second", `httpd -p 8080 -h /shared; ${LOOP}`, { mounts });
    });

    test("is ready, with an address", async () => {
      const status = await pods.cri.podStatus(pod.id);
      expect(status?.state).toBe(PodSandboxState.SANDBOX_READY);
      expect(status?.network?.ip).toMatch(/^10\.97\.0\.\d+$/);
      expect((await pods.cri.exec(first, "ip", "-4", "-o", "addr", "show", "eth0")).stdout).toContain(status?.network?.ip);
    });

    test("one shim for all of it", async () => {
      const shims = await Promise.all([pod.id, first, second].map((id) => pods.containerd.shim(id)));
      expect(new Set(shims).size).toBe(1);
    });

    test("exec sync: streams and the exit code", async () => {
      expect(await pods.cri.exec(first, "sh", "-c", "echo out; echo err >&2; exit 4")).toEqual({ code: 4, stdout: "out\n", stderr: "err\n" });
      expect((await pods.cri.exec(second, "hostname")).stdout).toBe(`${mode}\n`);
    });

    test("twenty probes at once, after which the shim has no more open than before", async () => {
      const shim = await pods.containerd.shim(first);
      const descriptors = () => readdirSync(`/proc/${shim}/fd`).length;
      const before = descriptors();
      const codes = await Promise.all(Array.from({ length: 20 }, (_, n) => pods.cri.exec(n % 2 === 0 ? first : second, "sh", "-c", `exit ${n}`)));
      expect(codes.map(({ code }) => code)).toEqual(Array.from({ length: 20 }, (_, n) => n));
      await eventually("all is closed", () => descriptors() <= before);
    });

    test("a volume that both have, and the pod's network", async () => {
      await pods.cri.exec(first, "sh", "-c", "echo hello > /shared/file");
      expect(readFileSync(`${shared}/file`, "utf8")).toBe("hello\n");
      await eventually("the other serves it", async () => (await pods.cri.exec(first, "wget", "-qO-", "http://127.0.0.1:8080/file")).stdout === "hello\n");
      expect((await pods.cri.exec(second, "cat", "/etc/resolv.conf")).stdout).toContain("nameserver 10.0.0.10");
    });

    test("logs", async () => {
      await eventually("both lines are there", () => pod.log("first").length === 2);
      expect(pod.log("first").sort()).toEqual(["stderr F complains", "stdout F begins"]);
    });

    test("stats", async () => {
      const stats = await pods.cri.stats(first);
      expect(stats?.cpu?.usageCoreNanoSeconds?.value).toBeGreaterThan(0n);
      expect(stats?.memory?.workingSetBytes?.value).toBeGreaterThan(0n);
      expect(stats?.memory?.workingSetBytes?.value).toBeLessThan(64n << 20n);
    });

    test("update of a limit", async () => {
      await pods.cri.update(first, { memoryLimitInBytes: 96n << 20n });
      const pid = await pods.containerd.pid(first);
      const group = /:memory:(.*)/.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "";
      expect(readFileSync(`/sys/fs/cgroup/memory${group}/memory.limit_in_bytes`, "utf8")).toBe(`${96 << 20}\n`);
    });

    test("a container that ends, and one whose program is missing", async () => {
      expect(await pods.exited(await pod.start("short", "exit 9"))).toMatchObject({ exitCode: 9, reason: "Error" });
      const missing = await pod.create("missing", "", { command: ["no-such-program"] });
      await expect(pods.cri.start(missing)).rejects.toThrow(/executable file not found in|no-such-program/);
    });

    test("a container that has more than it may: OOMKilled", async () => {
      const greedy = await pod.start("greedy", "exec tail /dev/zero", { resources: { memoryLimitInBytes: 32n << 20n } });
      expect(await pods.exited(greedy)).toMatchObject({ exitCode: 137, reason: "OOMKilled" });
    });

    test("stop: by signal, and by force", async () => {
      await pods.cri.stop(first, 20);
      expect(await pods.exited(first)).toMatchObject({ exitCode: 3 });
      const deaf = await pod.start("deaf", "trap '' TERM; while :; do sleep 0.1; done");
      await pods.cri.stop(deaf, 1);
      expect(await pods.exited(deaf)).toMatchObject({ exitCode: 137 });
    });

    test("removal: nothing is left", async () => {
      await pod.remove();
      expect(readdirSync(pods.containerd.workspace.path("addresses/pods")).filter((name) => name.startsWith("10."))).toEqual([]);
    });
  });

  test("containerd's restart: the pod runs on, logs on, and is exec'd into; a killed shim ends it, and it can be removed", async () => {
    const pod = await pods.run("lasting", HANDLERS.sentry);
    const id = await pod.start("one", "echo first; until test -e /go; do sleep 0.1; done; echo second; exec sleep 1000");
    await eventually("it logs", () => pod.log("one").length === 1);
    await pods.containerd.restart();
    await eventually("the plugin is there", () => pods.cri.status(id).then(() => true, () => false), 30);
    expect((await pods.cri.status(id))?.state).toBe(ContainerState.CONTAINER_RUNNING);
    expect((await pods.cri.exec(id, "touch", "/go")).code).toBe(0);
    await eventually("it logs on", () => pod.log("one").join() === "stdout F first,stdout F second");

    process.kill(await pods.containerd.shim(id), "SIGKILL");
    expect((await pods.exited(id)).exitCode).not.toBe(0);
    await eventually("the pod is not ready", async () => (await pods.cri.podStatus(pod.id))?.state === PodSandboxState.SANDBOX_NOTREADY);
    await pod.remove();
  });

  test("pods made, exec'd into and removed at the same time", async () => {
    const count = 6;
    const many = await Promise.all(Array.from({ length: count }, async (_, n) => {
      const pod = await pods.run(`many-${n}`, n % 2 === 0 ? HANDLERS.sentry : HANDLERS.namespace);
      return { pod, id: await pod.start("one", "exec sleep 1000") };
    }));
    const codes = await Promise.all(many.map(({ id }, n) => pods.cri.exec(id, "sh", "-c", `exit ${n}`)));
    expect(codes.map(({ code }) => code)).toEqual(many.map((_, n) => n));
    await Promise.all(many.map(({ pod }) => pods.cri.removePod(pod.id)));
    await pods.containerd.expectNothingLeft("many");
  });

  test("a handler whose file is wrong: the pod is refused in words", async () => {
    const file = pods.containerd.workspace.path("sentry.json");
    const good = readFileSync(file, "utf8");
    writeFileSync(file, `{ "mode": "none" }`);
    await expect(pods.run("wrong", HANDLERS.sentry)).rejects.toThrow(/sentry\.json: mode: /);
    writeFileSync(file, good);
    await pods.containerd.expectNothingLeft("wrong");
  });
}
