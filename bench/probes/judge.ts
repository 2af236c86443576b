/**
 * From what an attempt has seen inside, and what the live filters do with the very call that decided it, to a verdict.
 *
 * How "emulated" is told from "reached": the filters of the task that runs guest code say where a call goes. What they allow is the host kernel's to
 * answer; what they hand to a listener, tracer or signal handler of the runtime's is answered by the runtime; what they refuse goes nowhere. A runtime
 * none of whose tasks is the guest's program has a kernel of its own, and so has one that runs guest code where the host has no task for it.
 */
import type { ActionName } from "seccomp-bpf-ts";
import type { Outcome } from "../result.ts";
import type { Escape } from "./escape-table.ts";
import type { GuestCode } from "./tasks.ts";

/** A line of `probe escapes`. */
export interface Attempt {
  readonly attempt: string;
  /** `ok`, `no effect`, an errno, `signal N` or `stuck`. */
  readonly result: string;
  /** NO_CALL, BY_THE_32_BIT_ENTRY, or a number. */
  readonly nr: number;
  readonly args: readonly bigint[];
  /** statfs(2)'s f_type of the opened file; 0 for none. */
  readonly fileSystem: number;
  readonly note: string;
}

export const NO_CALL = -1;
export const BY_THE_32_BIT_ENTRY = -2;

/** Source: Linux include/uapi/linux/magic.h. */
const FUSE_SUPER_MAGIC = 0x6573_5546;
/** Somewhere in a static program, which the filters of stubs tell from their own code. */
const GUEST_INSTRUCTION = 0x40_1000n;
/** Source: Linux arch/x86/entry/syscalls/syscall_32.tbl. */
const GETPID_32 = 20;

export function parseAttempts(stdout: string): Attempt[] {
  const lines = stdout.split("\n").map((line) => line.split("\t")).filter((fields) => fields.length === 6);
  return lines.map(([attempt = "", result = "", nr = "", args = "", fileSystem = "", note = ""]) => ({
    attempt,
    result,
    nr: Number(nr),
    args: args.split(" ").map(BigInt),
    fileSystem: Number.parseInt(fileSystem, 16),
    note,
  }));
}

/** What stands in the way of the call that decided: for `own`, a kernel that is not the host's. */
type Way = "host" | "refused" | "runtime" | "own" | "unknown";

function wayOf({ nr, args }: Attempt, guest: GuestCode): Way {
  if (guest.kind === "elsewhere") return "own";
  if (guest.kind === "unreadable") return "unknown";
  if (nr === NO_CALL) return guest.kind === "stub" ? "own" : "host";
  const call = nr === BY_THE_32_BIT_ENTRY ? ({ arch: "x86", nr: GETPID_32 } as const) : ({ arch: "x86_64", nr, args } as const);
  const { action } = guest.filters.decide({ ...call, ip: GUEST_INSTRUCTION });
  if (action === "allow" || action === "log") return "host";
  if (!answered(action, guest.answers)) return "refused";
  return guest.kind === "stub" ? "own" : "runtime";
}

const answered = (action: ActionName, answers: readonly ActionName[]) => answers.includes(action);

const USUALLY: Readonly<Record<string, string>> = {
  EPERM: "capability",
  EACCES: "permission",
  EROFS: "read-only mount",
  ENOENT: "not in the container",
  ENODEV: "not in the container",
  ENXIO: "no such device",
  ENOSYS: "the host's kernel has no such call",
  EAFNOSUPPORT: "the host's kernel has no such family",
  EPROTONOSUPPORT: "the host's kernel has no such protocol",
};

export function judge(attempt: Attempt, escape: Escape, guest: GuestCode): Outcome {
  const { result, note, fileSystem } = attempt;
  const way = wayOf(attempt, guest);
  const told = note === "" ? "" : `: ${note}`;
  if (result === "stuck") return { verdict: "unknown", detail: "came to no end within 2 s" };
  if (result === "no effect") return { verdict: "blocked", detail: escape.noEffect ?? result };
  const succeeded = result === "ok" || (escape.through ?? []).includes(result);
  if (succeeded) return success(way, result, fileSystem, told);
  const why = { host: escape.by?.[result] ?? USUALLY[result] ?? "the host's kernel", refused: "seccomp", runtime: "the runtime", own: "a kernel of its own", unknown: "not known by what" }[way];
  return { verdict: "blocked", detail: `${why}: ${result}` };
}

function success(way: Way, result: string, fileSystem: number, told: string): Outcome {
  switch (way) {
    case "own":
      return { verdict: "emulated", detail: `a kernel of its own${told}` };
    case "runtime":
      return { verdict: "emulated", detail: `the runtime answers${told}` };
    case "host":
      if (fileSystem === FUSE_SUPER_MAGIC) return { verdict: "emulated", detail: `a file of the runtime's own${told}` };
      return { verdict: "reached", detail: result === "ok" ? `the host's kernel${told}` : `the host's kernel, which then says ${result}${told}` };
    case "unknown":
      return { verdict: "unknown", detail: `succeeds, and the filters cannot be read to tell with whom${told}` };
    case "refused":
      // The filters were read of another task of the same configuration.
      return { verdict: "unknown", detail: `succeeds, although the filters refuse it${told}` };
    default:
      return way satisfies never;
  }
}
