// --strace on real sandboxes: what programs do is told with arguments, results and who has answered; what they do stays the same.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { syscallTable } from "seccomp-bpf-ts";
import { decodeArguments } from "../../../sentry/strace-arguments.ts";
import { signatureOf } from "../../../sentry/strace-signatures.ts";
import { describeRuntime } from "../../support/contract.ts";
import { isAlive, statusField } from "../../support/host.ts";
import { until } from "../../support/until.ts";
import { inspect, installGuest, SENTRY } from "./support.ts";

/** There a task has one tracer, the sentry, which tells of its calls. */
const BY_SENTRY = process.env["TSSANDBOX_PLATFORM"] === "ptrace";

const STRACE = { global: ["--mode", "sentry", "--strace"] };

/** Addresses differ from run to run. */
const calls = (text: string) => text.trimEnd().split("\n").map((line) => line.replaceAll(/0x[0-9a-f]{5,}/g, "ADDR"));

test("the kinds of all arguments are known, and so are the calls", () => {
  const table = syscallTable("x86_64");
  const known = [...table.keys()].flatMap((name) => (signatureOf(name) === undefined ? [] : [name]));
  expect(known.length).toBeGreaterThan(200);
  const kinds = new Set(known.flatMap((name) => signatureOf(name) ?? []));
  for (const kind of kinds) expect(() => decodeArguments({ pid: process.pid, name: "", args: [0n, 0n, 0n, 0n, 0n, 0n] }, [kind])).not.toThrow();
});

describeRuntime("strace", ({ test: check, make }) => {
  check("calls with arguments and results, on standard error; the program's own output is as it was", async () => {
    await using c = make({ args: ["sh", "-c", "read word </etc/hostname; echo $word; mkdir /tmp/new; cat /missing; mount -t tmpfs x /tmp; uname -r; exit 7"] });
    const { code, stdout, stderr } = await c.run(STRACE);
    expect([code, stdout]).toEqual([7, "rootfs\n6.12.0-tssandbox\n"]);
    const lines = calls(stderr);
    expect(lines[0]).toBe('[1] execve("/bin/sh", ["sh", "-c", "read word </etc/hostname; echo $word; mkdir /tmp/new; cat /missing; mount -t tmpfs x /tmp; uname"...], /* 3 vars */) = 0');
    expect(lines).toContainEqual(expect.stringMatching(/^\[1\] open(at)?\((AT_FDCWD, )?"\/etc\/hostname", O_RDONLY\) = 3$/));
    expect(lines).toContainEqual(expect.stringMatching(/^\[1\] read\(0, "r", 1\) = 1$/));
    expect(lines).toContain('[1] write(1, "rootfs\\n", 7) = 7');
    expect(lines).toContainEqual(expect.stringMatching(/^\[\d+\] mkdir\("\/tmp\/new", 0777\) = 0$/));
    expect(lines).toContainEqual(expect.stringMatching(/^\[\d+\] open(at)?\((AT_FDCWD, )?"\/missing", O_RDONLY\) = -1 ENOENT$/));
    expect(lines).toContainEqual(expect.stringMatching(/^\[\d+\] mount\("x", "\/tmp", "tmpfs", .*\) = -1 EPERM \(refused by the policy\)$/));
    expect(lines).toContainEqual(expect.stringMatching(/^\[\d+\] uname\(ADDR\) = 0 \(sentry\)$/));
    expect(lines.slice(-2)).toEqual(["[1] exit_group(7) = ?", "[1] +++ exited with 7 +++"]);
  });

  check("to the runtime's log, where there is one", async () => {
    await using c = make({ args: ["sh", "-c", "echo out; echo err >&2"] });
    const log = c.bundle.path("log.json");
    const { stdout, stderr } = await c.run({ global: [...STRACE.global, "--log", log, "--log-format", "json"] });
    expect([stdout, stderr]).toEqual(["out\n", "err\n"]);
    const lines = readFileSync(log, "utf8").trim().split("\n").map((line) => JSON.parse(line) as { level: string; msg: string });
    expect(lines.every(({ level }) => level === "info")).toBe(true);
    expect(lines.map(({ msg }) => msg)).toContain('[1] write(1, "err\\n", 4) = 4');
  });

  check("children, signals, stops and ends of tasks", async () => {
    await using c = make({ args: ["sh", "-c", "sleep 100 & kill -STOP $!; kill -CONT $!; kill -TERM $!; wait $!; i=0; while [ $i -lt 100 ]; do (exit 3); i=$((i+1)); done; sleep 100 & kill -KILL $!; wait $!; echo end"] });
    const { code, stdout, stderr } = await c.run(STRACE);
    expect([code, stdout]).toEqual([0, "end\n"]);
    const lines = calls(stderr);
    expect(lines).toContain("[2] --- SIGTERM ---");
    expect(lines).toContain("[2] +++ killed by SIGTERM +++");
    expect(lines.filter((line) => line.endsWith("+++ exited with 3 +++"))).toHaveLength(100);
    expect(lines.filter((line) => line.startsWith("[1] wait4") && line.includes("[768]")).length).toBeGreaterThan(90);
  });

  check("what a program hands over to mislead its reader is escaped, bounded or shown as it is", async () => {
    await using c = make({ args: ["/strange-calls"] });
    installGuest(c, "strange-calls", ["-pthread", "-Wno-unused-result"]);
    const { code, stderr } = await c.run(STRACE);
    expect(code).toBe(0);
    const lines = calls(stderr);
    expect(stderr).not.toContain("\u001b");
    expect(lines).toContain('[1] openat(AT_FDCWD, "/\\x1b[31m\\n\\"", O_RDONLY) = -1 ENOENT');
    expect(lines).toContain("[1] openat(AT_FDCWD, 0x8, O_RDWR|O_CREAT, 0640) = -1 EFAULT");
    expect(lines).toContain(`[1] openat(AT_FDCWD, "${"x".repeat(96)}"..., O_WRONLY|O_TRUNC) = -1 ENAMETOOLONG`);
    expect(lines).toContain('[1] openat(AT_FDCWD, "ab", O_RDONLY) = -1 ENOENT');
    expect(lines).toContain('[1] openat(AT_FDCWD, "cccccc", O_RDONLY) = -1 EFAULT');
    expect(lines).toContainEqual(expect.stringMatching(/^\[1\] read\(-1, ADDR, 18446744073709551615\) = -1 EBADF$/));
    expect(lines).toContain("[1] syscall_999(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 ENOSYS (refused by the policy)");
    expect(lines).toContain('[1] socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3');
    expect(lines).toContain('[1] connect(3, {AF_UNIX, @"hidden"}, 9) = -1 ECONNREFUSED');
    expect(lines).toContainEqual(expect.stringMatching(/^\[1\] pipe2?\(\[4, 5\](, 0)?\) = 0$/));
    // A thread that executes a program goes on with its leader's id.
    expect(lines).toContain('[1] execve("/strange-calls", ["/strange-calls", "from a thread"], /* 3 vars */) = 0');
    expect(lines.at(-1)).toBe("[1] +++ exited with 0 +++");
  });

  check("of what exec starts; a container can ask for it by annotation", async () => {
    await using c = make({ args: ["sleep", "1031"], edit: (spec) => void (spec.annotations = { "dev.tssandbox.strace": "false" }) });
    await c.mustBegin(SENTRY);
    expect(await c.exec(["true"])).toMatchObject({ code: 0, stderr: "" });
    const { code, stdout, stderr } = await c.exec(["echo", "here"], { global: ["--strace"] });
    expect([code, stdout]).toEqual([0, "here\n"]);
    expect(calls(stderr)[0]).toMatch(/^\[\d+\] execve\("\/bin\/echo", \["echo", "here"\], \/\* \d+ vars \*\/\) = 0$/);
    await using asking = make({ args: ["true"], edit: (spec) => void (spec.annotations = { "dev.tssandbox.strace": "true" }) });
    expect((await asking.run(SENTRY)).stderr).toContain('[1] execve("/bin/true", ["true"]');
  });

  check("nothing is told before the program, of create and start; the tracer ends with the container", async () => {
    await using c = make({ args: ["sleep", "1032"] });
    await c.mustCreate(STRACE);
    expect(c.stderr).toBe("");
    await c.mustStart();
    await until("the program", () => c.stderr.includes("execve"));
    expect(calls(c.stderr)[0]).toMatch(/^\[1\] execve\("\/bin\/sleep", \["sleep", "1032"\]/);
    const tracer = Number(statusField(c.pid, "TracerPid"));
    expect(tracer === (await inspect(c)).sentry.pid).toBe(BY_SENTRY);
    expect(statusField(tracer, "Uid")?.split("\t")[0]).toBe(String((await inspect(c)).ids.sentry));
    expect(statusField(tracer, "Seccomp")).toBe("2");
    await c.kill("KILL");
    await until("the tracer's end", () => !["S", "R"].includes(statusField(tracer, "State")?.[0] ?? ""));
    expect(c.stderr).toContain("+++ killed by SIGKILL +++");
  });

  check("a tracer that is killed does no harm to the program, but where it is the sentry, who takes all with it", async () => {
    await using c = make({ args: ["sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.05; done; echo unharmed"] });
    await c.mustBegin(STRACE);
    await until("the program", () => c.stderr.includes("execve"));
    process.kill(Number(statusField(c.pid, "TracerPid")), "SIGKILL");
    if (BY_SENTRY) {
      await until("the program's end", () => !isAlive(c.pid));
      return;
    }
    await until("no tracer", () => statusField(c.pid, "TracerPid") === "0");
    await c.mustExec(["touch", "/tmp/go"]);
    await c.outputMatching(/unharmed/);
  });

  check("is refused where there is no sandbox, and an annotation that means nothing is", async () => {
    await using c = make({ args: ["true"] });
    expect(await c.run({ global: ["--mode", "namespace", "--strace"] })).toMatchObject({ code: 1, stderr: "tssandbox: --strace needs a sandbox: --mode sentry\n" });
    await using d = make({ args: ["true"], edit: (spec) => void (spec.annotations = { "dev.tssandbox.strace": "yes" }) });
    expect(await d.run(SENTRY)).toMatchObject({ code: 1, stderr: expect.stringContaining('must be "true" or "false"') });
    await d.expectNothingLeft();
  });
});
