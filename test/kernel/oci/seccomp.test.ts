import { readFileSync, rmSync } from "node:fs";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { Listener } from "../../support/listener.ts";
import type { Spec } from "../../support/spec.ts";

type Rule = { names: string[]; action: string; errnoRet?: number; args?: { index: number; value: number; valueTwo?: number; op: string }[] };
const filter = (rules: Rule[], fields: Record<string, unknown> = {}) => (spec: Spec) => {
  spec.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], syscalls: rules, ...fields };
};
// x86-64 numbers: mkdir 83, personality 135, getpriority 140, setdomainname 171, clone3 435
const header = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
const allCallsBut = (name: string) => [...readFileSync(header, "utf8").matchAll(/__NR_(\w+)/g)].map(([, call = ""]) => call).filter((call) => call !== name);
const mkdir = ["/tool", "syscall", "83", "s:/made", "0755"];

describeRuntime("seccomp: actions", ({ test, make }) => {
  test("a filter is in force, and mode 2 is seen inside", async () => {
    await using c = make({ args: ["grep", "^Seccomp:", "/proc/self/status"], edit: filter([{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }]) });
    expect(await c.mustRun()).toBe("Seccomp:\t2\n");
  });

  test("SCMP_ACT_ERRNO without a number is EPERM, with one it is that", async () => {
    for (const [fields, answer] of [[{}, "errno 1 EPERM\n"], [{ errnoRet: 28 }, "errno 28 ENOSPC\n"], [{ errnoRet: 0 }, "ok 0\n"]] as const) {
      await using c = make({ args: mkdir, edit: filter([{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", ...fields }]) });
      expect(await c.mustRun()).toBe(answer);
    }
  });

  test("defaultErrnoRet is the number of the default action; what is listed is allowed", async () => {
    await using c = make({ args: mkdir, edit: filter([{ names: allCallsBut("mkdir"), action: "SCMP_ACT_ALLOW" }], { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 77 }) });
    expect(await c.mustRun()).toBe("errno 77 EBADFD\n");
  });

  for (const action of ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"]) {
    test(`${action} ends the process with SIGSYS`, async () => {
      await using c = make({ args: mkdir, edit: filter([{ names: ["mkdir"], action }]) });
      expect((await c.run()).code).toBe(128 + 31);
    });
  }

  test("SCMP_ACT_TRACE without a tracer is ENOSYS, SCMP_ACT_LOG allows", async () => {
    for (const [action, answer] of [["SCMP_ACT_TRACE", "errno 38 ENOSYS\n"], ["SCMP_ACT_LOG", "ok 0\n"], ["SCMP_ACT_ALLOW", "ok 0\n"]] as const) {
      await using c = make({ args: mkdir, edit: filter([{ names: ["mkdir"], action }]) });
      expect(await c.mustRun(), action).toBe(answer);
    }
  });

  test("names that this kernel or architecture does not have are passed over", async () => {
    await using c = make({ args: mkdir, edit: filter([{ names: ["no_such_call", "s390_pci_mmio_read", "mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 5 }]) });
    expect(await c.mustRun()).toBe("errno 5 EIO\n");
  });

  test("a number above all that the filter knows is ENOSYS under a denying default, so that libc falls back", async () => {
    await using c = make({ args: ["/tool", "syscall", "999"], edit: filter([{ names: allCallsBut("mkdir"), action: "SCMP_ACT_ALLOW" }], { defaultAction: "SCMP_ACT_ERRNO" }) });
    expect(await c.mustRun()).toBe("errno 38 ENOSYS\n");
  });
});

const getpriorityRule = (...values: number[]): Rule => ({ names: ["getpriority"], action: "SCMP_ACT_ERRNO", errnoRet: 99, args: values.map((value, index) => ({ index, value, op: "SCMP_CMP_EQ" })) });

describeRuntime("seccomp: arguments", ({ test, make }) => {
  // personality(2) with an argument that changes nothing when it is allowed: 0xffffffff reads the value.
  const cases: [string, { index: number; value: number; valueTwo?: number; op: string }, string, boolean][] = [
    ["SCMP_CMP_EQ", { index: 0, value: 7, op: "SCMP_CMP_EQ" }, "7", true], ["SCMP_CMP_EQ", { index: 0, value: 7, op: "SCMP_CMP_EQ" }, "8", false],
    ["SCMP_CMP_NE", { index: 0, value: 7, op: "SCMP_CMP_NE" }, "8", true], ["SCMP_CMP_NE", { index: 0, value: 7, op: "SCMP_CMP_NE" }, "7", false],
    ["SCMP_CMP_LT", { index: 0, value: 7, op: "SCMP_CMP_LT" }, "6", true], ["SCMP_CMP_LT", { index: 0, value: 7, op: "SCMP_CMP_LT" }, "7", false],
    ["SCMP_CMP_LE", { index: 0, value: 7, op: "SCMP_CMP_LE" }, "7", true], ["SCMP_CMP_LE", { index: 0, value: 7, op: "SCMP_CMP_LE" }, "8", false],
    ["SCMP_CMP_GT", { index: 0, value: 7, op: "SCMP_CMP_GT" }, "8", true], ["SCMP_CMP_GT", { index: 0, value: 7, op: "SCMP_CMP_GT" }, "7", false],
    ["SCMP_CMP_GE", { index: 0, value: 7, op: "SCMP_CMP_GE" }, "7", true], ["SCMP_CMP_GE", { index: 0, value: 7, op: "SCMP_CMP_GE" }, "6", false],
    ["SCMP_CMP_MASKED_EQ", { index: 0, value: 0xf0, valueTwo: 0x10, op: "SCMP_CMP_MASKED_EQ" }, "0x1f", true],
    ["SCMP_CMP_MASKED_EQ", { index: 0, value: 0xf0, valueTwo: 0x10, op: "SCMP_CMP_MASKED_EQ" }, "0x2f", false],
    ["SCMP_CMP_EQ above 32 bits", { index: 1, value: 0x1_0000_0007, op: "SCMP_CMP_EQ" }, "7", false],
    ["SCMP_CMP_GT above 32 bits", { index: 1, value: 0xffff_fffe, op: "SCMP_CMP_GT" }, "0x100000000", true],
  ];
  for (const [what, arg, given, matches] of cases) {
    test(`${what} of ${arg.value} with ${given}: ${matches ? "matches" : "does not match"}`, async () => {
      // getpriority(which, who) answers EINVAL for a bad `which`; 140 is its number.
      const args = arg.index === 0 ? [given, "0"] : ["9", given];
      await using c = make({ args: ["/tool", "syscall", "140", ...args], edit: filter([{ names: ["getpriority"], action: "SCMP_ACT_ERRNO", errnoRet: 99, args: [arg] }]) });
      const text = await c.mustRun();
      if (matches) expect(text).toBe("errno 99 EADDRNOTAVAIL\n");
      else expect(text).not.toMatch(/errno 99/);
    });
  }

  test("several arguments must all match; two rules for one call are alternatives", async () => {
    await using c = make({ args: ["sh", "-c", "/tool syscall 140 9 5; /tool syscall 140 9 6; /tool syscall 140 8 1"], edit: filter([getpriorityRule(9, 5), getpriorityRule(8)]) });
    expect(await c.mustRun()).toBe("errno 99 EADDRNOTAVAIL\nerrno 22 EINVAL\nerrno 99 EADDRNOTAVAIL\n");
  });
});

describeRuntime("seccomp: flags and errors", ({ test, make }) => {
  for (const flags of [["SECCOMP_FILTER_FLAG_LOG"], ["SECCOMP_FILTER_FLAG_TSYNC"], ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], []]) {
    test(`flags ${JSON.stringify(flags)}`, { cannot: flags.length > 0 ? { "runc 1.1": "no flags" } : {} }, async () => {
      await using c = make({ args: mkdir, edit: filter([{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }], { flags }) });
      expect(await c.mustRun()).toBe("errno 1 EPERM\n");
    });
  }

  test("without noNewPrivileges the filter is loaded before capabilities are dropped and holds all the same", async () => {
    await using c = make({ args: mkdir, edit: (spec) => { spec.process!.noNewPrivileges = false; filter([{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }])(spec); } });
    expect(await c.mustRun()).toBe("errno 1 EPERM\n");
  });

  const bad: [string, (spec: Spec) => void][] = [
    ["an unknown action", filter([{ names: ["mkdir"], action: "SCMP_ACT_NOSUCH" }])],
    ["an unknown default action", filter([], { defaultAction: "SCMP_ACT_NOSUCH" })],
    ["an unknown operator", filter([{ names: ["mkdir"], action: "SCMP_ACT_ERRNO", args: [{ index: 0, value: 1, op: "SCMP_CMP_NOSUCH" }] }])],
    ["an argument index above 5", filter([{ names: ["mkdir"], action: "SCMP_ACT_ERRNO", args: [{ index: 6, value: 1, op: "SCMP_CMP_EQ" }] }])],
    ["an unknown architecture", filter([], { architectures: ["SCMP_ARCH_NOSUCH"] })],
    ["an unknown flag", filter([{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }], { flags: ["SECCOMP_FILTER_FLAG_NOSUCH"] })],
    ["notify without a listener", filter([{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }])],
    ["notify for write, which the runtime needs itself", filter([{ names: ["write"], action: "SCMP_ACT_NOTIFY" }], { listenerPath: "/nowhere" })],
  ];
  for (const [what, edit] of bad) {
    test(`${what} is refused and leaves nothing`, async () => {
      await using c = make({ edit });
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).not.toBe("");
      await c.expectNothingLeft();
    });
  }
});

const notifying = (socket: string, metadata?: string) => filter([{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }], { listenerPath: socket, ...(metadata === undefined ? {} : { listenerMetadata: metadata }) });

describeRuntime("seccomp: notification", ({ test, make }) => {
  test("the listener gets the descriptor and the container process state, and decides", async () => {
    await using c = make({ args: ["sh", "-c", `${mkdir.map((word) => `'${word}'`).join(" ")}; sleep 100`] });
    await using listener = await Listener.start("notify", c.bundle.path("s"), "71");
    notifying(listener.socket, "meta data")(c.spec);
    c.spec.annotations = { "org.example.key": "value" };
    c.bundle.write();
    await c.mustBegin();
    await c.outputMatching(/errno 71 EPROTO\n/);
    const [, json = ""] = await listener.matching(/^state (.*)$/m);
    expect(JSON.parse(json)).toMatchObject({
      ociVersion: expect.stringMatching(/^1\./), fds: ["seccompFd"], pid: c.pid, metadata: "meta data",
      state: { id: c.id, status: "creating", pid: c.pid, bundle: c.bundle.dir, annotations: { "org.example.key": "value" } },
    });
    expect(listener.output).toMatch(/^fds 1$/m);
    await listener.matching(/^syscall 83$/m);
  });

  test("an answer may let the call go on or give its value", async () => {
    for (const [answer, text] of [["continue", "ok 0\n"], ["value:17", "ok 17\n"]] as const) {
      await using c = make({ args: mkdir });
      await using listener = await Listener.start("notify", c.bundle.path("s"), answer);
      notifying(listener.socket)(c.spec);
      c.bundle.write();
      expect(await c.mustRun()).toBe(text);
    }
  });

  test("exec has a listener descriptor of its own and says that the container runs", async () => {
    await using c = make({ args: ["sleep", "100"] });
    {
      await using first = await Listener.start("notify", c.bundle.path("s"), "71");
      notifying(first.socket)(c.spec);
      c.bundle.write();
      await c.mustBegin();
      await first.matching(/^state /m);
    }
    rmSync(c.bundle.path("s"));
    await using second = await Listener.start("notify", c.bundle.path("s"), "72");
    expect(await c.mustExec(mkdir)).toBe("errno 72 EMULTIHOP\n");
    const [, json = ""] = await second.matching(/^state (.*)$/m);
    expect(JSON.parse(json)).toMatchObject({ state: { id: c.id, status: "running" } });
  });

  test("a listener that is not there fails create and leaves nothing", async () => {
    await using c = make({ edit: (spec, bundle) => notifying(bundle.path("nobody"))(spec) });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/nobody|seccomp|listener|connect/i);
    await c.expectNothingLeft();
  });
});
