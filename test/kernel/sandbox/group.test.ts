// Containers of one sandbox: they share its sentry and what their configurations say, and nothing else.
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { describe, expect } from "vitest";
import type { Container } from "../../support/container.ts";
import { describeRuntime } from "../../support/contract.ts";
import { isAlive, namespaceOf, statusField } from "../../support/host.ts";
import { until } from "../../support/until.ts";
import { joining, SANDBOX, type MemberOptions } from "./group.ts";
import { inspect, SENTRY } from "./support.ts";

const sentryOf = async (c: Container) => (await inspect(c)).sentry.pid;
const limit = (bytes: number): MemberOptions => ({ edit: ({ linux }) => void (linux.resources = { memory: { limit: bytes } }) });
const uptimeOf = async (c: Container) => Number((await c.mustExec(["cat", "/proc/uptime"])).split(" ")[0]);
const sysinfosOf = async (c: Container) => (await inspect(c)).calls.find(({ name }) => name === "sysinfo")?.count ?? 0;
const ofPod = (id: string): MemberOptions => ({ edit: (spec) => void (spec.annotations = { "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": id }) });
const lend = (at: string): NonNullable<MemberOptions["edit"]> => ({ mounts }) => void mounts.push({ destination: "/shared", type: "bind", source: at, options: ["bind"] });

describeRuntime("containers of a sandbox", ({ test, make }) => {
  const begin = async (options: Parameters<typeof make>[0] = {}): Promise<Container> => {
    const c = make({ args: ["sleep", "1000"], ...options });
    await c.mustBegin(SENTRY);
    return c;
  };
  const join = (first: Container, options?: MemberOptions) => begin(joining(first, options));

  /** Whatever ends the sandbox `ms` after the state of one that joins has appeared. @returns whether creating that one has failed; it is gone then. */
  async function whileCreating(ms: number, end: (first: Container, sentry: number) => Promise<unknown>, options?: MemberOptions): Promise<boolean> {
    await using first = await begin();
    await using member = make(joining(first, options));
    const sentry = await sentryOf(first);
    const call = member.call("create", [member.id], { ...SENTRY, flags: ["--bundle", member.bundle.dir] });
    await until("its state", () => existsSync(`${first.stateRoot}/${member.id}`));
    await new Promise((resolve) => setTimeout(resolve, ms));
    await end(first, sentry);
    const { code, stderr } = await call.result();
    if (code === 0) {
      await until("its end", async () => (await member.status()) === "stopped");
      return false;
    }
    expect(stderr).toMatch(/^tssandbox: [^\n]*(the sandbox \S+, which annotations\["dev\.tssandbox\.sandbox"\] names, has ended|the sandbox \S+ cannot be joined)[^\n]*\n$/);
    expect(cleanOf(member)).toEqual([]);
    return true;
  }

  test("have one sentry, and each its own processes, ids, mounts, names and limits", async () => {
    await using first = await begin({ edit: ({ linux }) => void (linux.resources = { memory: { limit: 200 << 20 } }) });
    await using member = await join(first, { edit: (spec) => {
      spec.hostname = "other";
      spec.linux.resources = { memory: { limit: 100 << 20 }, cpu: { quota: 50_000, period: 100_000 } };
    } });
    expect(await sentryOf(member)).toBe(await sentryOf(first));
    const tell = "uname -n; hostname; sed -n 's/^MemTotal: *//p' /proc/meminfo; free -k | awk '/Mem:/ {print $2}'; grep -c ^processor /proc/cpuinfo; echo /proc/[0-9]*";
    expect((await first.mustExec(["sh", "-c", tell])).split("\n").slice(0, 4)).toEqual(["contract", "contract", `${200 << 10} kB`, String(200 << 10)]);
    const told = (await member.mustExec(["sh", "-c", tell])).split("\n");
    expect(told.slice(0, 5)).toEqual(["other", "other", `${100 << 10} kB`, String(100 << 10), "1"]);
    expect(told[5]).toMatch(/^\/proc\/1 \/proc\/\d+$/);
    const [one, other] = [await inspect(first), await inspect(member)];
    expect(one.tasks.map(({ name }) => name)).toEqual(["sleep"]);
    expect(other.ids.guest[0]?.hostID).not.toBe(one.ids.guest[0]?.hostID);
    expect(other.gofers.map(({ pid }) => pid)).not.toContain(one.gofers[0]?.pid);
    for (const kind of ["pid", "user", "mnt", "ipc", "uts", "cgroup"]) expect(namespaceOf(member.pid, kind)).not.toBe(namespaceOf(first.pid, kind));
    for (const kind of ["net", "time"]) expect(namespaceOf(member.pid, kind)).toBe(namespaceOf(first.pid, kind));
  });

  test("are on one machine: its boot id, its clocks", async () => {
    await using first = await begin();
    await using member = await join(first);
    const tell = ["cat", "/proc/sys/kernel/random/boot_id"];
    expect(await member.mustExec(tell)).toBe(await first.mustExec(tell));
    const [early, middle, late] = [await uptimeOf(first), await uptimeOf(member), await uptimeOf(first)];
    expect([early <= middle, middle <= late]).toEqual([true, true]);
  });

  test("what each traps is counted and answered as its own", async () => {
    await using first = await begin();
    await using member = await join(first);
    await member.mustExec(["free"]);
    expect([await sysinfosOf(first), await sysinfosOf(member)]).toEqual([0, 1]);
  });

  test("exec, ps, pause, update, events and kill are about one of them", async () => {
    await using first = await begin();
    await using member = await join(first, limit(100 << 20));
    await member.mustCommand("update", [], { flags: ["--memory", String(80 << 20)] });
    expect(await member.mustExec(["sed", "-n", "s/^MemTotal: *//p", "/proc/meminfo"])).toBe(`${80 << 10} kB\n`);
    await member.mustCommand("pause");
    expect([await member.status(), await first.status()]).toEqual(["paused", "running"]);
    expect(await first.mustExec(["echo", "goes on"])).toBe("goes on\n");
    await member.mustCommand("resume");
    expect(JSON.parse(await member.mustCommand("ps", [], { flags: ["--format", "json"] }))).toEqual([member.pid]);
    const stats = JSON.parse(await member.mustCommand("events", [], { flags: ["--stats"] })) as { data: { pids: { current: number } } };
    expect(stats.data.pids.current).toBe(1);
    expect((await member.kill("KILL")).code).toBe(0);
    await until("its end", async () => (await member.status()) === "stopped");
    expect(await first.mustExec(["echo", "goes on"])).toBe("goes on\n");
    expect(await member.delete()).toMatchObject({ code: 0, stderr: "" });
    expect(cleanOf(member)).toEqual([]);
  });

  test("come and go: the sentry serves the others, and its areas are used again", async () => {
    await using first = await begin();
    const sentry = await sentryOf(first);
    const open = () => readdirSync(`/proc/${sentry}/fd`).length;
    const before = open();
    for (let i = 0; i < 3; i++) {
      await using member = await join(first);
      expect(open()).toBeGreaterThan(before);
      expect(await member.mustExec(["uname", "-s"])).toBe("Linux\n");
      expect(await member.delete("--force")).toMatchObject({ code: 0, stderr: "" });
      await until("the sentry to let go of it", () => open() === before);
    }
    expect(await sentryOf(first)).toBe(sentry);
  });

  test("one that cannot be created leaves nothing, and the others alone", async () => {
    await using first = await begin();
    await using member = make(joining(first, { args: ["/no/such/program"] }));
    const { code, stderr } = await member.create(SENTRY);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("/no/such/program") as string });
    expect(cleanOf(member)).toEqual([]);
    expect((await inspect(first)).sentry.alive).toBe(true);
    expect(await first.mustExec(["echo", "goes on"])).toBe("goes on\n");
  });

  describe("the first one's end", () => {
    test("leaves the sentry to the others, until the last has ended", async () => {
      await using first = await begin();
      await using member = await join(first);
      const sentry = await sentryOf(first);
      await first.kill("KILL");
      await until("its end", async () => (await first.status()) === "stopped");
      expect(await member.mustExec(["uname", "-s"])).toBe("Linux\n");
      const refused = await first.delete();
      expect({ code: refused.code, stderr: refused.stderr }).toEqual({ code: 1, stderr: expect.stringMatching(new RegExp(`others run: ${member.id}; delete --force`)) as string });
      await member.kill("KILL");
      await until("the sentry's end", () => !isAlive(sentry));
      for (const c of [first, member]) expect(await c.delete()).toMatchObject({ code: 0, stderr: "" });
    });

    test("by force ends the others", async () => {
      await using first = await begin();
      await using member = await join(first);
      const sentry = await sentryOf(first);
      expect(await first.delete("--force")).toMatchObject({ code: 0, stderr: "" });
      expect([await member.status(), isAlive(member.pid), isAlive(sentry)]).toEqual(["stopped", false, false]);
      expect(await member.delete()).toMatchObject({ code: 0, stderr: "" });
      expect(readdirSync(first.stateRoot)).toEqual([]);
    });

    test("lets nobody in any more: told, and nothing left", async () => {
      await using first = await begin();
      await using member = await join(first);
      await using late = make(joining(first));
      await first.kill("KILL");
      await until("its end", async () => (await first.status()) === "stopped");
      const { code, stderr } = await late.create(SENTRY);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/annotations\["dev\.tssandbox\.sandbox"\]: the sandbox \S+ cannot be joined: its first container is stopped/) as string });
      expect(cleanOf(late)).toEqual([]);
      expect(await member.mustExec(["uname", "-s"])).toBe("Linux\n");
    });
  });

  describe("death", () => {
    const WITHIN_MS = 15_000;

    test("of the sentry ends all of them", async () => {
      await using first = await begin();
      await using one = await join(first);
      await using other = await join(first);
      process.kill(await sentryOf(first), "SIGKILL");
      await until("the end of all", () => [first, one, other].every(({ pid }) => !isAlive(pid)), WITHIN_MS);
      for (const c of [other, first, one]) expect(await c.delete()).toMatchObject({ code: 0, stderr: expect.stringMatching(/^tssandbox: warning: the sandbox of \S+ had failed: [^\n]+\n$/) as string });
    });

    test("of a gofer ends the container that it serves, and is told; the others go on", async () => {
      await using first = await begin();
      await using one = await join(first);
      await using other = await join(first);
      process.kill((await inspect(one)).gofers[0]!.pid, "SIGKILL");
      await until("its end", () => !isAlive(one.pid), WITHIN_MS);
      expect(await one.delete()).toMatchObject({ code: 0, stderr: expect.stringMatching(/had failed: sentry: the gofer of root, system has ended\n$/) as string });
      for (const c of [first, other]) expect(await c.mustExec(["uname", "-s"])).toBe("Linux\n");
      process.kill((await inspect(first)).gofers[0]!.pid, "SIGKILL");
      await until("its end", () => !isAlive(first.pid), WITHIN_MS);
      expect(await other.mustExec(["uname", "-s"])).toBe("Linux\n");
    });

    test("of the sentry while one is being created: it fails, says why, and leaves nothing", async () => {
      const failed = [];
      for (const ms of [0, 20, 60, 120, 200]) failed.push(await whileCreating(ms, async (_first, sentry) => process.kill(sentry, "SIGKILL")));
      expect(failed).toContain(true);
    });

    test("by delete of the first while one is being created: the same", async () => {
      // A hook that takes long: delete is a program that has to start itself.
      const slow: MemberOptions = { edit: (spec) => void (spec.hooks = { createRuntime: [{ path: "/bin/sleep", args: ["sleep", "1"] }] }) };
      expect(await whileCreating(60, async (first) => expect(await first.delete("--force")).toMatchObject({ code: 0 }), slow)).toBe(true);
    });
  });

  describe("the pid namespace, shared", () => {
    test("each sees the other's processes and may signal them; they have the same ids", async () => {
      await using first = await begin({ args: ["sleep", "1001"] });
      await using member = await join(first, { args: ["sleep", "1002"], shares: ["network", "pid"] });
      expect(namespaceOf(member.pid, "pid")).toBe(namespaceOf(first.pid, "pid"));
      expect(namespaceOf(member.pid, "user")).toBe(namespaceOf(first.pid, "user"));
      expect(namespaceOf(member.pid, "mnt")).not.toBe(namespaceOf(first.pid, "mnt"));
      expect(statusField(member.pid, "Uid")).toBe(statusField(first.pid, "Uid"));
      expect(await first.mustExec(["ps", "-o", "args"])).toContain("sleep 1002");
      expect(await member.mustExec(["ps", "-o", "args"])).toContain("sleep 1001");
      expect((await inspect(member)).tasks.map(({ name }) => name)).toEqual(["sleep"]);
      await first.mustExec(["sh", "-c", "kill -KILL $(ps -o pid,args | awk '$2 == \"sleep\" && $3 == 1002 {print $1}')"]);
      await until("its end", () => !isAlive(member.pid));
      expect(await member.delete()).toMatchObject({ code: 0, stderr: "" });
      expect(await first.mustExec(["echo", "goes on"])).toBe("goes on\n");
    });

    test("kill and delete reach all of a container without one of its own", async () => {
      // Reaps what it inherits, as a pause container does.
      await using first = await begin({ args: ["sh", "-c", "while :; do sleep 0.1; done"] });
      await using member = await join(first, { args: ["sh", "-c", "sleep 1003 & echo ready; wait"], shares: ["network", "pid"] });
      await member.outputMatching(/ready/);
      expect((await inspect(member)).tasks).toHaveLength(2);
      await member.kill("KILL");
      await until("the end of both", async () => !(await first.mustExec(["ps", "-o", "args"])).includes("sleep 1003"));
      expect(await member.delete()).toMatchObject({ code: 0, stderr: "" });
    });

    test("that of a container outside is refused", async () => {
      await using first = await begin();
      await using stranger = await begin();
      await using member = make(joining(first, { edit: ({ linux }) => void (linux.namespaces.find(({ type }) => type === "pid")!.path = `/proc/${stranger.pid}/ns/pid`) }));
      const { code, stderr } = await member.create(SENTRY);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("linux.namespaces: the path of the pid namespace must be that of a container in the same sandbox") as string });
    });
  });

  describe("who is let in", () => {
    const refused: [string, MemberOptions, RegExp][] = [
      ["nobody in a sandbox that there is not", { edit: (spec) => void (spec.annotations = { [SANDBOX]: "nobody" }) }, /annotations\["dev\.tssandbox\.sandbox"\]: nobody: there is no such container/],
      ["nobody whose configuration shares nothing with it: an image may bring annotations", { shares: [] }, /annotations\["dev\.tssandbox\.sandbox"\]: \S+: the configuration shares no namespace with it/],
      ["nobody who asks for a stricter policy", { edit: (spec) => void (spec.annotations = { ...spec.annotations, "dev.tssandbox.policy": "strict" }) }, /annotations\["dev\.tssandbox\.policy"\]: the sandbox \S+ has the policy balanced, which isolates less than strict/],
      ["nobody who asks for more isolation", { edit: (spec) => void (spec.annotations = { ...spec.annotations, "dev.tssandbox.mode": "vm" }) }, /annotations\["dev\.tssandbox\.mode"\]: the sandbox \S+ is in sentry mode, which isolates less than the vm mode/],
    ];
    for (const [name, options, message] of refused) {
      test(name, async () => {
        await using first = await begin();
        await using member = make(joining(first, options));
        const { code, stderr } = await member.create(SENTRY);
        expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(message) as string });
        expect(cleanOf(member)).toEqual([]);
      });
    }
  });

  test("an engine's annotations do the same; a pod without a first container has a sandbox for each", async () => {
    await using first = await begin();
    await using member = await join(first, ofPod(first.id));
    await using alone = await join(first, ofPod("of-another-runtime"));
    const sentries = await Promise.all([first, member, alone].map(sentryOf));
    expect(sentries[1]).toBe(sentries[0]);
    expect(sentries[2]).not.toBe(sentries[0]);
  });

  test("a volume that they share has the same files for each", async () => {
    await using first = make();
    const at = first.bundle.path("shared");
    mkdirSync(at);
    lend(at)(first.spec, first.bundle);
    first.spec.process!.args = ["sleep", "1000"];
    first.bundle.write();
    await first.mustBegin(SENTRY);
    await using member = await join(first, { edit: lend(at) });
    await first.mustExec(["sh", "-c", "echo told > /shared/file && chmod 600 /shared/file"]);
    expect(await member.mustExec(["cat", "/shared/file"])).toBe("told\n");
  });
});

/** What is left of a container whose state directory is another's: its own entry there, processes, cgroups, mounts. */
function cleanOf(c: Container): string[] {
  const { mounts, cgroups, processes, state } = c.hostState();
  return [...mounts, ...cgroups, ...processes, ...state.filter((path) => path.endsWith(c.id))];
}
