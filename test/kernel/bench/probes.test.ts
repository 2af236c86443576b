/** The probes on runtimes of which it is known what must come out: they say so, and they can see a container that is weak. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { getSystemErrorName } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { syscallName, syscallTable } from "seccomp-bpf-ts";
import { probeBundle } from "../../../bench/probes/container.ts";
import { tryDirectories, tryEscapes, tryExec, tryMountRace } from "../../../bench/probes/escapes.ts";
import { findLeaks } from "../../../bench/probes/leaks.ts";
import { attackNeighbour, ATTACKS } from "../../../bench/probes/resources.ts";
import { inspect, judgeObserved, judgeReach, judgeTakenOver, parseObservations } from "../../../bench/probes/surface.ts";
import type { Outcome } from "../../../bench/result.ts";
import { knownRuntimes, tryRuntimes, type Runtime } from "../../../bench/runtimes.ts";
import { removeWorkDirectory } from "../../../bench/work.ts";
import { CAPABILITIES } from "../../../linux/abi/capability.ts";
import { countsOf } from "../../../policies/syscalls/describe.ts";
import { balanced } from "../../../policies/syscalls/policy.ts";
import type { Spec } from "../../../runtime/spec/config.ts";
import { systemMounts } from "../../support/host.ts";

const RUNC = "runc";
const NAMESPACE = "tssandbox-namespace";
const SENTRY = "tssandbox-sentry";

let all: readonly Runtime[] = [];
const runtime = (name: string): Runtime => {
  const found = all.find((one) => one.name === name);
  if (found === undefined) throw new Error(`${name} does not run here`);
  return found;
};

beforeAll(async () => {
  ({ runtimes: all } = await tryRuntimes(knownRuntimes((name) => [RUNC, NAMESPACE, SENTRY].includes(name))));
});
afterAll(removeWorkDirectory);

const NUMBERS = [...new Set(syscallTable("x86_64").values())];
const MINUS_ONES = Array<bigint>(6).fill(0xffff_ffff_ffff_ffffn);
/** Called with other arguments (guest/surface.c). */
const OTHER_ARGUMENTS = ["futex", "modify_ldt"];

/** Calls of which the live filters say one thing, and the guest has seen another: two ways to the same answer that share nothing. */
async function disagreements(name: string, profile: boolean): Promise<string[]> {
  const { guest } = await inspect(runtime(name), profile);
  if (guest.kind !== "direct") throw new Error(guest.kind);
  using bundle = probeBundle({ args: ["surface", ...NUMBERS.map(String)], profile });
  const run = await runtime(name).run(bundle, { seconds: 40 });
  const seen = parseObservations(run.stdout);
  expect(seen.length).toBe(NUMBERS.length);
  return seen.flatMap(({ nr, kind, detail }) => {
    const call = syscallName("x86_64", nr) ?? String(nr);
    if (kind === "skipped" || OTHER_ARGUMENTS.includes(call)) return [];
    const { action, data } = guest.filters.decide({ arch: "x86_64", nr, args: MINUS_ONES });
    // Of what the filter allows nothing follows: the kernel too says EPERM and ENOSYS.
    const expected = action === "errno" ? `errno ${getSystemErrorName(-data)}` : action.startsWith("kill") ? "signal 31" : undefined;
    return expected === undefined || expected === `${kind} ${detail}` ? [] : [`${call}: ${expected}, but ${kind} ${detail}`];
  });
}

describe("surface", () => {
  test("under sentry: what docs/syscalls.md counts as native", async () => {
    const behind = await inspect(runtime(SENTRY), false);
    const { native, denied, emulated } = countsOf(balanced);
    expect(judgeReach(behind)).toMatchObject({ verdict: "reached", value: native, detail: expect.stringContaining(`${denied} refused, ${emulated} answered by the runtime`) as string });
    expect(behind.servants.length).toBeGreaterThanOrEqual(2);
    expect(judgeTakenOver(behind).value).toBeGreaterThanOrEqual(native);
  });

  test("under runc: everything without a profile, and with one what a guest sees too", async () => {
    expect(judgeReach(await inspect(runtime(RUNC), false))).toMatchObject({ value: NUMBERS.length });
    const profiled = judgeReach(await inspect(runtime(RUNC), true)).value ?? 0;
    expect(profiled).toBeGreaterThan(250);
    expect(profiled).toBeLessThan(340);
    expect(await disagreements(RUNC, true)).toEqual([]);
  });

  test("under sentry filter and guest agree", async () => {
    expect(await disagreements(SENTRY, false)).toEqual([]);
  });

  test("calls that answer are counted by who is there to answer", async () => {
    const seen = parseObservations("0\terrno\tEBADF\n1\treturned\n2\terrno\tENOSYS\n3\terrno\tEPERM\n4\tsignal\t31\n60\tskipped\tends\n");
    const outcome = judgeObserved(seen, await inspect(runtime(RUNC), false));
    expect(outcome).toEqual({ verdict: "reached", value: 2, detail: "1 missing, 1 forbidden, 1 ended the caller; not tried: exit" });
  });
});

const SYSCTLS = ["kernel/core_pattern", "kernel/hostname", "kernel/randomize_va_space", "vm/overcommit_memory"];
const hostState = () => ({ mounts: systemMounts(), sysctls: SYSCTLS.map((name) => readFileSync(`/proc/sys/${name}`, "utf8")) });

const verdicts = (outcomes: Map<string, Outcome>, names: readonly string[]) => Object.fromEntries(names.map((name) => [name, outcomes.get(name)?.verdict]));

const REFUSED_EVERYWHERE = [
  "user-namespace", "user-namespace-clone3", "join-namespace", "mount", "mount-proc", "mount-overlay", "mount-api", "mount-tree", "mount-cgroup", "release-agent", "io-uring", "bpf-map", "bpf-program",
  "keys", "userfaultfd", "perf", "nftables", "vsock", "crypto-socket", "abstract-socket", "core-pattern", "modprobe-path", "sysrq", "uevent-helper", "kcore", "device-node", "devices", "module", "dirty-pipe",
  "file-handle", "descriptors", "cwd", "volume-link",
];
const REFUSED_BY_SENTRY = ["packet-socket", "raw-socket", "tiocsti", "entry-32", "ldt"];

const each = (names: readonly string[], verdict: string) => Object.fromEntries(names.map((name) => [name, verdict]));

/** All that the tests themselves have, which in some test machines is not all there are. */
const mask = BigInt(`0x${/^CapEff:\s*([\da-f]+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0"}`);
const capabilities = CAPABILITIES.filter((_name, number) => ((mask >> BigInt(number)) & 1n) === 1n);

/** As an engine's --privileged, but for devices. */
function weaken(spec: Spec): Spec {
  const process = { ...spec.process!, noNewPrivileges: false, capabilities: { bounding: [...capabilities], effective: [...capabilities], permitted: [...capabilities] } };
  return { ...spec, process, linux: { ...spec.linux, maskedPaths: [], readonlyPaths: [] } };
}

describe("escapes", () => {
  test("an engine's container under runc and namespace", async () => {
    for (const name of [RUNC, NAMESPACE]) {
      const outcomes = await tryEscapes(runtime(name), await inspect(runtime(name), true), {});
      expect(verdicts(outcomes, REFUSED_EVERYWHERE), name).toEqual(each(REFUSED_EVERYWHERE, "blocked"));
      expect(outcomes.get("io-uring"), name).toEqual({ verdict: "blocked", detail: "seccomp: EPERM" });
      expect(verdicts(outcomes, ["packet-socket", "ptrace", "entry-32"]), name).toEqual(each(["packet-socket", "ptrace", "entry-32"], "reached"));
    }
  });

  test("under sentry, root with every capability and without a profile", async () => {
    const before = hostState();
    const outcomes = await tryEscapes(runtime(SENTRY), await inspect(runtime(SENTRY), false), { profile: false, edit: weaken });
    const names = [...REFUSED_EVERYWHERE, ...REFUSED_BY_SENTRY];
    expect(verdicts(outcomes, names)).toEqual(each(names, "blocked"));
    expect(outcomes.get("io-uring")?.detail).toBe("seccomp: ENOSYS");
    expect(hostState()).toEqual(before);
  });

  test("a weak container under runc is seen to be weak, and the host is as it was", async () => {
    const before = hostState();
    const outcomes = await tryEscapes(runtime(RUNC), await inspect(runtime(RUNC), false), { profile: false, edit: weaken });
    const reached = ["user-namespace", "user-namespace-clone3", "join-namespace", "mount", "mount-proc", "mount-api", "mount-tree", "bpf-map", "bpf-program", "userfaultfd", "perf", "packet-socket", "raw-socket", "ptrace", "core-pattern", "file-handle", "route-netlink", "nftables"];
    expect(verdicts(outcomes, reached)).toEqual(each(reached, "reached"));
    expect(hostState()).toEqual(before);
  });

  test.each([RUNC, NAMESPACE, SENTRY])("who enters by exec cannot be overwritten: %s", async (name) => {
    expect(await tryExec(runtime(name))).toEqual({ verdict: "blocked", detail: expect.stringMatching(/^[1-9]\d* processes entered|is seen, and not to be written/) as string });
  });

  test.each([NAMESPACE, SENTRY])("a working directory of the host's is refused: %s", async (name) => {
    expect(await tryDirectories(runtime(name), true)).toMatchObject({ verdict: "blocked" });
  });

  test.each([NAMESPACE, SENTRY])("a mount is not led astray: %s", async (name) => {
    // On a slow machine it may be that no start comes as far as the mount.
    expect(["blocked", "unknown"]).toContain((await tryMountRace(runtime(name), 4)).verdict);
  });

  test("a runtime that goes astray is seen", async () => {
    const astray: Runtime = {
      ...runtime(RUNC),
      run: async (bundle) => {
        mkdirSync(join(bundle.path, "outside/made"), { recursive: true });
        return { kind: "ended", code: 0, stdout: "cwd\tENOENT\t79\t0x0 0x0 0x0 0x0 0x0 0x0\t0\tno name\n", stderr: "", milliseconds: 0 };
      },
    };
    expect((await tryMountRace(astray, 1)).verdict).toBe("reached");
    expect((await tryDirectories(astray, true)).verdict).toBe("reached");
  });
});

describe("leaks", () => {
  test("runc's containers are told of the host, and sentry's are not", async () => {
    const names = ["kernel version", "uptime", "boot id", "memory of the machine", "paths and disks of the host", "load of the machine", "activity of the host"];
    expect(verdicts(await findLeaks(runtime(RUNC)), [...names, "kernel version in the vDSO"])).toEqual(each([...names, "kernel version in the vDSO"], "leaks"));
    const sentry = await findLeaks(runtime(SENTRY));
    expect(verdicts(sentry, names)).toEqual(each(names, "hidden"));
    // Known, and in the threat model.
    expect(verdicts(sentry, ["kernel version in the vDSO", "host name", "machine id"])).toMatchObject({ "kernel version in the vDSO": "leaks", "host name": "hidden" });
  });
});

describe("resources", () => {
  const bomb = ATTACKS.find(({ attack }) => attack === "processes")!;

  test("a fork bomb stays within its limit, and without one that is seen", async () => {
    const { detail } = await attackNeighbour(runtime(NAMESPACE), bomb, true);
    expect(detail).toMatch(/^took (6[0-4]|[1-5]?\d) processes/);
    const { resources: _none, ...unlimited } = bomb;
    const outcome = await attackNeighbour(runtime(NAMESPACE), unlimited, true);
    expect(outcome).toMatchObject({ verdict: "reached", detail: expect.stringContaining("the limit of 64 was not enforced: took 300 processes") as string });
  });
});
