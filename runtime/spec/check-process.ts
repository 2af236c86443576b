import { CAPABILITIES } from "../../linux/abi/capability.ts";
import type { LinuxCapabilities, Process, Scheduler } from "./config.ts";
import { checkList, checkRange } from "./numbers.ts";
import { member, type Report } from "./report.ts";
import { suggest } from "./suggest.ts";

// The rules for `process` that a schema cannot say: config.md#process, #posix-process, #linux-process. Each function is one rule.

/** @param at where the process stands in its document: "process", or "" in a process.json. */
export function checkProcess(process: Process, at: string, report: Report): void {
  cwd(process, at, report);
  args(process, at, report);
  env(process, at, report);
  user(process, at, report);
  consoleSize(process, at, report);
  rlimits(process, at, report);
  oomScoreAdj(process, at, report);
  if (process.capabilities !== undefined) capabilities(process.capabilities, member(at, "capabilities"), report);
  if (process.scheduler !== undefined) scheduler(process.scheduler, member(at, "scheduler"), report);
  ioPriority(process, at, report);
  execCPUAffinity(process, at, report);
}

/** "This value MUST be an absolute path." */
function cwd(process: Process, at: string, report: Report): void {
  if (!process.cwd.startsWith("/")) report.refuse(member(at, "cwd"), `must be an absolute path, is ${JSON.stringify(process.cwd)}`);
}

/** "at least one entry is REQUIRED (non-Windows)" */
function args(process: Process, at: string, report: Report): void {
  if (process.args === undefined || process.args.length === 0) report.refuse(member(at, "args"), "must have at least one entry, the program");
}

/** "the same semantics as IEEE Std 1003.1-2008's environ"; runc (libcontainer/env.go) refuses the same two. */
function env(process: Process, at: string, report: Report): void {
  process.env?.forEach((entry, index) => {
    const equals = entry.indexOf("=");
    if (equals > 0) return;
    report.refuse(member(member(at, "env"), index), equals === 0 ? "must have a name before =" : `must be NAME=value, is ${JSON.stringify(entry.slice(0, 40))}`);
  });
}

/** (uid_t) -1 means "leave as it is" to setresuid(2) and chown(2), so it is nobody's id; umask(2) has nine bits. */
function user({ user: { uid, gid, umask, additionalGids } }: Process, at: string, report: Report): void {
  const field = (...keys: (string | number)[]) => keys.reduce<string>(member, member(at, "user"));
  const noId = 0xffff_ffff;
  if (uid === noId) report.refuse(field("uid"), `must be from 0 to ${noId - 1}, is ${uid}`);
  if (gid === noId) report.refuse(field("gid"), `must be from 0 to ${noId - 1}, is ${gid}`);
  if (umask !== undefined && umask > 0o777) report.refuse(field("umask"), `must be from 0 to ${0o777}, is ${umask}`);
  const index = additionalGids?.indexOf(noId) ?? -1;
  if (index >= 0) report.refuse(field("additionalGids", index), `must be from 0 to ${noId - 1}, is ${noId}`);
}

/** "Runtimes MUST ignore consoleSize if terminal is false or unset." */
function consoleSize(process: Process, at: string, report: Report): void {
  if (process.consoleSize !== undefined && process.terminal !== true) report.warn(member(at, "consoleSize"), "ignored without a terminal");
}

/** "If rlimits contains duplicated entries with same type, the runtime MUST generate an error"; setrlimit(2): soft <= hard. */
function rlimits(process: Process, at: string, report: Report): void {
  const seen = new Set<string>();
  process.rlimits?.forEach(({ type, soft, hard }, index) => {
    const field = member(member(at, "rlimits"), index);
    if (seen.has(type)) report.refuse(field, `${type} is given twice`);
    seen.add(type);
    if (soft > hard) report.refuse(field, `${type}: soft limit ${soft} is above the hard limit ${hard}`);
  });
}

/** proc(5): OOM_SCORE_ADJ_MIN to OOM_SCORE_ADJ_MAX. */
function oomScoreAdj(process: Process, at: string, report: Report): void {
  checkRange(process.oomScoreAdj, -1000, 1000, member(at, "oomScoreAdj"), report);
}

/**
 * "Any value which cannot be mapped to a relevant kernel interface [...] MUST be logged as a warning": unknown names are taken
 * out, so that what remains can be applied.
 */
function capabilities(sets: LinuxCapabilities, at: string, report: Report): void {
  const known = new Set<string>(CAPABILITIES);
  for (const set of Object.keys(sets) as (keyof LinuxCapabilities)[]) {
    sets[set] = sets[set]?.filter((name, index) => {
      if (known.has(name)) return true;
      const near = suggest(name, CAPABILITIES);
      report.warn(member(member(at, set), index), `unknown capability ${JSON.stringify(name)}, ignored${near === undefined ? "" : ` (did you mean "${near}"?)`}`);
      return false;
    });
  }
}

/** sched_setattr(2), sched(7); the kernel's checks are in kernel/sched/syscalls.c (__sched_setscheduler) and deadline.c. */
function scheduler(attributes: Scheduler, at: string, report: Report): void {
  const { policy, nice, priority } = attributes;
  if (policy === "SCHED_OTHER" || policy === "SCHED_BATCH") checkRange(nice, -20, 19, member(at, "nice"), report);
  if (policy === "SCHED_FIFO" || policy === "SCHED_RR") checkRange(priority ?? 0, 1, 99, member(at, "priority"), report);
  else if (priority !== undefined && priority !== 0) report.refuse(member(at, "priority"), `is for SCHED_FIFO and SCHED_RR, the policy is ${policy}`);
  if (policy === "SCHED_DEADLINE") return deadline(attributes, at, report);
  for (const key of ["runtime", "deadline", "period"] as const) {
    if ((attributes[key] ?? 0) !== 0) report.refuse(member(at, key), `is for SCHED_DEADLINE, the policy is ${policy}`);
  }
}

/** deadline.c, __checkparam_dl: 1024 ns <= runtime <= deadline <= period, and a period of 0 is the deadline. */
function deadline({ runtime = 0, deadline = 0, period = 0 }: Scheduler, at: string, report: Report): void {
  if (runtime < 1024) report.refuse(member(at, "runtime"), `must be at least 1024 (ns), is ${runtime}`);
  if (deadline < runtime) report.refuse(member(at, "deadline"), `must be at least the runtime of ${runtime}, is ${deadline}`);
  if (period !== 0 && period < deadline) report.refuse(member(at, "period"), `must be at least the deadline of ${deadline}, is ${period}`);
}

/** "an integer ranging from 0 (highest) to 7 (lowest)" */
function ioPriority(process: Process, at: string, report: Report): void {
  checkRange(process.ioPriority?.priority, 0, 7, member(member(at, "ioPriority"), "priority"), report);
}

function execCPUAffinity({ execCPUAffinity: affinity }: Process, at: string, report: Report): void {
  checkList(affinity?.initial, member(member(at, "execCPUAffinity"), "initial"), report);
  checkList(affinity?.final, member(member(at, "execCPUAffinity"), "final"), report);
}
