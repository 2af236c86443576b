// Sandboxes of ordinary users: of one who has subordinate ids, so that sentry and gofers have ids of their own, and of one who has but his own.
import { existsSync, mkdirSync, readlinkSync, statSync } from "node:fs";
import { release } from "node:os";
import process from "node:process";
import { afterAll, beforeAll, expect } from "vitest";
import type { SandboxReport } from "../../../runtime/sandbox/inspect.ts";
import { succeed, type CommandOptions, type Container, type ContainerOptions } from "../../support/container.ts";
import { describeRuntime } from "../../support/contract.ts";
import { isAlive, statusField } from "../../support/host.ts";
import { Listener } from "../../support/listener.ts";
import { mapRange, prepareRootless } from "../../support/rootless.ts";
import { Call, runRuntime } from "../../support/runtime.ts";
import type { Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";
import { User, withFuse } from "../../support/user.ts";
import { processesWith } from "../do/support.ts";
import { stateFile } from "./support.ts";

const users = new Map<boolean, User>();
beforeAll(async () => {
  for (const subordinate of [true, false]) users.set(subordinate, await User.add(subordinate));
});
afterAll(() => users.forEach((user) => user[Symbol.dispose]()));

/** Of the mode. */
const UNSAID: CommandOptions = { env: { TSSANDBOX_MODE: undefined } };
const SENTRY_RELEASE = /-tssandbox$/m;

const uid = (pid: number) => Number(statusField(pid, "Uid")?.split("\t")[0]);

/** What the user does with a container. */
function commandsOf(user: () => User) {
  const as = (options: CommandOptions = {}): CommandOptions => ({ ...options, ...UNSAID, prefix: user().fusePrefix });

  async function ok(c: Container, command: string, words: readonly string[] = [], options: CommandOptions = {}): Promise<string> {
    const result = await c.command(command, words, as(options));
    succeed(command, result);
    return result.stdout;
  }

  async function begin(c: Container, flags: readonly string[] = []): Promise<void> {
    await ok(c, "create", [], { flags: ["--bundle", c.bundle.dir, "--pid-file", c.pidFile, ...flags] });
    await ok(c, "start");
  }

  const inspect = async (c: Container) => JSON.parse(await ok(c, "debug", [], { flags: ["--format", "json"] })) as SandboxReport;

  async function ownPids(c: Container): Promise<{ sentry: number; gofers: number[] }> {
    const { sentry, gofers } = await inspect(c);
    return { sentry: sentry.pid, gofers: gofers.map(({ pid }) => pid) };
  }

  async function expectEnd(c: Container, pids: readonly number[]): Promise<void> {
    await ok(c, "delete", [], { flags: ["--force"] });
    await until("the end of the sandbox", () => pids.every((pid) => !isAlive(pid)));
    await c.expectNothingLeft();
  }

  return { as, ok, begin, ownPids, expectEnd };
}

for (const subordinate of [true, false]) {
  const user = (): User => users.get(subordinate)!;
  const { as, ok, begin, ownPids, expectEnd } = commandsOf(user);
  describeRuntime(`rootless: ${subordinate ? "subordinate ids" : "a single id"}`, ({ test, make, runtime: { path: binary } }) => {
    const prepared = async (options: ContainerOptions, edit?: (spec: Spec, c: Container) => void) => await prepareRootless(make(options), user(), edit);

    test("create, start, state, exec, ps, kill, delete: a sandbox without its being asked for", async () => {
      await using c = await prepared({ args: ["sleep", "1000"] });
      await ok(c, "create", [], { flags: ["--bundle", c.bundle.dir, "--pid-file", c.pidFile] });
      expect(JSON.parse(stateFile(c, "state.json"))).toMatchObject({ mode: "sentry" });
      expect(JSON.parse(await ok(c, "state"))).toMatchObject({ status: "created", pid: c.pid });
      await ok(c, "start");
      const { sentry, gofers } = await ownPids(c);
      expect(await ok(c, "exec", ["uname", "-r"])).toMatch(SENTRY_RELEASE);
      expect(await ok(c, "exec", ["sh", "-c", "id -u; cat /proc/1/comm"])).toBe("0\nsleep\n");
      expect((await c.command("exec", ["sh", "-c", "exit 5"], as())).code).toBe(5);
      expect(JSON.parse(await ok(c, "ps", [], { flags: ["-f", "json"] }))).toEqual([c.pid]);
      await ok(c, "kill", ["KILL"]);
      await until("the end", async () => (JSON.parse(await ok(c, "state")) as { status: string }).status === "stopped");
      await ok(c, "delete");
      await until("the end of the sandbox", () => [sentry, ...gofers].every((pid) => !isAlive(pid)));
      await c.expectNothingLeft();
    });

    test("run passes streams, signals and the exit code on, and leaves nothing", async () => {
      await using c = await prepared({ args: ["sh", "-c", "cat; uname -r; exit 7"] });
      const result = await c.run(as({ input: "in\n" }));
      expect(result, result.stderr).toMatchObject({ code: 7, stderr: "" });
      expect(result.stdout).toMatch(/^in\n.*-tssandbox\n$/);
      await c.expectNothingLeft();
      await using d = await prepared({ args: ["sh", "-c", "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.1; done"] });
      const run = d.startRun(as());
      await until("the trap", () => /ready/.test(run.stdout));
      process.kill(await run.pid, "SIGTERM");
      expect(await run.result()).toMatchObject({ code: 3, stdout: "ready\ncaught\n" });
      await d.expectNothingLeft();
    });

    test("who the sandbox's processes are", async () => {
      await using c = await prepared({ args: ["sleep", "1000"] });
      await begin(c);
      const { sentry, gofers } = await ownPids(c);
      const last = subordinate ? user().subordinate("uid") + 65_535 : user().uid;
      expect([uid(c.pid), uid(sentry), ...gofers.map(uid)]).toEqual([user().uid, last, ...gofers.map(() => (subordinate ? last - 1 : last))]);
      for (const pid of [sentry, ...gofers]) expect([statusField(pid, "NoNewPrivs"), statusField(pid, "Seccomp")]).toEqual(["1", "2"]);
      expect([statusField(sentry, "CapEff"), statusField(sentry, "CapPrm")]).toEqual(["0000000000000000", "0000000000000000"]);
      // Read-only loans: CAP_DAC_READ_SEARCH, in a user namespace of its own.
      for (const pid of gofers) expect(statusField(pid, "CapPrm")).toBe("0000000000000004");
      const namespaces = [sentry, ...gofers].map((pid) => readlinkSync(`/proc/${pid}/ns/user`));
      expect(new Set([...namespaces, readlinkSync("/proc/self/ns/user"), readlinkSync(`/proc/${c.pid}/ns/user`)]).size).toBe(gofers.length + 3);
      await expectEnd(c, [sentry, ...gofers]);
    });

    test("no process of the user's can look into sentry or gofer", async () => {
      await using c = await prepared({ args: ["sleep", "1000"] });
      await begin(c);
      const { sentry, gofers } = await ownPids(c);
      for (const pid of [sentry, ...gofers]) {
        const { stderr } = await runRuntime([...user().prefix, "sh", "-c", `for f in mem maps environ; do cat /proc/${pid}/$f; done`]);
        expect(stderr.match(/Permission denied/g)).toHaveLength(3);
      }
      await expectEnd(c, [sentry, ...gofers]);
    });

    test("a terminal by way of a console socket, and of exec", async () => {
      await using c = await prepared({ args: ["sh", "-c", "tty; stty size; read x; echo got $x; sleep 1000"] }, (spec) => Object.assign(spec.process!, { terminal: true, consoleSize: { height: 31, width: 77 } }));
      await using listener = await Listener.start("console", c.bundle.path("console.sock"));
      user().own(listener.socket);
      await begin(c, ["--console-socket", listener.socket]);
      await listener.matching(/\/dev\/pts\/0\r?\n[^]*31 77/);
      listener.type("words\n");
      await listener.matching(/got words/);
      await using second = await Listener.start("console", c.bundle.path("second.sock"));
      user().own(second.socket);
      await ok(c, "exec", ["sh", "-c", "tty; exec sleep 1000"], { flags: ["--tty", "--detach", "--console-socket", second.socket] });
      await second.matching(/\/dev\/pts\/1/);
      await ok(c, "delete", [], { flags: ["--force"] });
      await c.expectNothingLeft();
    });

    for (const which of ["sentry", "gofer"]) test(`the death of the ${which} is the container's, told of, and nothing is left`, async () => {
      await using c = await prepared({ args: ["sleep", "1000"] });
      await begin(c);
      const { sentry, gofers } = await ownPids(c);
      process.kill(which === "sentry" ? sentry : gofers[0]!, "SIGKILL");
      await until("the end", () => !isAlive(c.pid));
      expect(JSON.parse(await ok(c, "state"))).toMatchObject({ status: "stopped", sandboxFailure: which === "sentry" ? expect.stringMatching(/killed/) : "sentry: the gofer of root, system has ended" });
      await expectEnd(c, [sentry, ...gofers]);
    });

    test("throw-away writes to the root, lasting ones to a volume; what the user may not read stays closed", async () => {
      const script = "echo x >/new && cat /new; echo y >/vol/made && cat /vol/made; cat /secret 2>/dev/null || echo closed";
      await using c = await prepared({ args: ["sh", "-c", script] }, (spec, { bundle }) => {
        spec.root.readonly = false;
        mkdirSync(bundle.path("vol"));
        user().own(bundle.path("vol"));
        bundle.file("secret", "", 0o600);
        spec.mounts.push({ destination: "/vol", type: "bind", source: bundle.path("vol"), options: ["bind"] });
      });
      user().own(c.rootfs);
      const result = await c.run(as());
      expect(result, result.stderr).toMatchObject({ code: 0, stdout: "x\ny\nclosed\n" });
      expect(existsSync(`${c.rootfs}/new`)).toBe(false);
      expect(statSync(c.bundle.path("vol/made")).uid).toBe(user().uid);
      await c.expectNothingLeft();
    });

    test("--strace is refused but on platform ptrace, and so is sentry mode to whom /dev/fuse is closed, who gets namespace mode where he asks for none", async () => {
      await using c = await prepared({ args: ["uname", "-r"] });
      const traced = await c.run(as({ global: ["--strace"] }));
      if (process.env["TSSANDBOX_PLATFORM"] === "ptrace") expect(traced).toMatchObject({ code: 0, stderr: expect.stringContaining(" = 0 (sentry)\n") });
      else expect(traced).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("--strace takes the host's root") });
      const closed: CommandOptions = { ...UNSAID, prefix: [...withFuse(0o600), ...user().prefix] };
      const asked = await c.run({ ...closed, global: ["--mode", "sentry"] });
      expect(asked).toMatchObject({ code: 1, stdout: "" });
      expect(asked.stderr).toMatch(/sentry mode: this user may not open \/dev\/fuse/);
      const weaker = await c.run(closed);
      expect(weaker).toMatchObject({ code: 0, stdout: `${release()}\n` });
      expect(weaker.stderr).toMatch(/warning: namespace mode/);
      await c.expectNothingLeft();
    });

    test("do: a sandbox by default, which ends with the runtime", async () => {
      const call = (...words: string[]) => new Call([...user().fusePrefix, binary, "do", "--", ...words], { ...UNSAID, cwd: "/" });
      const done = await call("sh", "-c", "uname -r; id -u; exit 4").result();
      expect(done, done.stderr).toMatchObject({ code: 4, stderr: "" });
      expect(done.stdout).toMatch(new RegExp(`^.*-tssandbox\n${user().uid}\n$`));
      const held = call("sh", "-c", "echo ready; exec sleep 7000.5");
      await until("the program", () => /ready/.test(held.stdout));
      await until("its successor", () => processesWith("7000.5").length === 1);
      process.kill(await held.pid, "SIGKILL");
      await until("the end of the sandbox", () => processesWith("7000.5").length === 0);
    });
  });
}

describeRuntime("rootless: a range of ids", ({ test, make }) => {
  test("files that it makes as other users are theirs on the host; setgroups works; any mapped id can be executed as", async () => {
    const user = users.get(true)!;
    await using c = await prepareRootless(make({ args: ["sh", "-c", "touch /mnt/root /mnt/guest; chown 1000:1000 /mnt/guest; exec sleep 1000"] }), user, (spec, { bundle }) => {
      mapRange(spec, user);
      const caps = ["CAP_CHOWN", "CAP_SETGID"];
      mkdirSync(bundle.path("vol"));
      user.own(bundle.path("vol"));
      spec.process!.capabilities = { bounding: caps, effective: caps, permitted: caps };
      spec.mounts.push({ destination: "/mnt", type: "none", source: bundle.path("vol"), options: ["bind"] });
    });
    const as = (options: CommandOptions = {}): CommandOptions => ({ ...options, ...UNSAID, prefix: user.fusePrefix });
    succeed("run", await c.command("run", [], as({ flags: ["--detach", "--bundle", c.bundle.dir, "--pid-file", c.pidFile] })));
    const made = await c.command("exec", ["sh", "-c", "id -u; id -G; stat -c %u /mnt/root /mnt/guest"], as({ flags: ["--user", "1234:5", "--additional-gids", "7"] }));
    expect(made, made.stderr).toMatchObject({ code: 0, stdout: "1234\n5 7\n0\n1000\n" });
    const owner = (name: string) => statSync(c.bundle.path("vol", name)).uid;
    expect([owner("root"), owner("guest")]).toEqual([user.uid, user.subordinate("uid") + 999]);
    succeed("delete", await c.command("delete", [], as({ flags: ["--force"] })));
    await c.expectNothingLeft();
  });
});
