/** Attributes of the process that execve(2) keeps. Source: runtime-spec config.md#process. */
import { ENOSYS, EPERM, EKEYREVOKED, EOPNOTSUPP } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { isErrno } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { openAt, writeAll } from "../../linux/file.ts";
import { allowUserSearch, joinSessionKeyring } from "../../linux/keyring.ts";
import { getResourceLimit, setPersonality, setResourceLimit } from "../../linux/process.ts";
import * as mpol from "../../linux/abi/mempolicy.ts";
import { setMemoryPolicy } from "../../linux/mempolicy.ts";
import { setIoPriority, setScheduling } from "../../linux/sched.ts";
import { IO_PRIORITY_CLASSES, RLIMITS, SCHEDULER_FLAGS, SCHEDULER_POLICIES } from "../spec/names.ts";
import { INHERITED_NOFILE } from "../inherited-limits.ts";
import { parseList } from "../spec/numbers.ts";
import type { LinuxMemoryPolicy, LinuxPersonality, Process, Scheduler } from "../spec/config.ts";

export function newSessionKeyring(id: string): void {
  try {
    allowUserSearch(joinSessionKeyring(`_ses.${id}`));
  } catch (error) {
    // A kernel without keys, or a seccomp filter around us that forbids them (docker in docker): nothing is inherited there either.
    if (!isErrno(error, ENOSYS, EPERM, EKEYREVOKED, EOPNOTSUPP)) throw error;
  }
}

export function setOomScore(hostProc: Fd, score: number | undefined): void {
  if (score === undefined) return;
  using file = openAt(hostProc, "self/oom_score_adj", fcntl.O_WRONLY);
  writeAll(file, String(score));
}

/** Policies and flags are listed in the order of their numbers and bits. Source: Linux include/uapi/linux/sched.h. */
export function setScheduler(scheduler: Scheduler | undefined): void {
  if (scheduler === undefined) return;
  const flags = (scheduler.flags ?? []).reduce((bits, flag) => bits | (1n << BigInt(SCHEDULER_FLAGS.indexOf(flag))), 0n);
  setScheduling({
    policy: SCHEDULER_POLICIES.indexOf(scheduler.policy),
    flags,
    nice: scheduler.nice ?? 0,
    priority: scheduler.priority ?? 0,
    runtime: BigInt(scheduler.runtime ?? 0),
    deadline: BigInt(scheduler.deadline ?? 0),
    period: BigInt(scheduler.period ?? 0),
  });
}

export function applyIoPriority(priority: Process["ioPriority"]): void {
  if (priority !== undefined) setIoPriority(IO_PRIORITY_CLASSES.indexOf(priority.class) + 1, priority.priority);
}

const PERSONALITIES = { LINUX: 0, LINUX32: 8 } as const;

export function applyPersonality(personality: LinuxPersonality | undefined): void {
  if (personality !== undefined) setPersonality(PERSONALITIES[personality.domain]);
}

export function applyMemoryPolicy(policy: LinuxMemoryPolicy | undefined): void {
  if (policy === undefined) return;
  const flags = (policy.flags ?? []).reduce((bits, flag) => bits | MEMORY_POLICY_FLAG[flag], 0);
  setMemoryPolicy(MEMORY_POLICY_MODE[policy.mode], flags, parseList(policy.nodes ?? ""));
}

const MEMORY_POLICY_MODE: Record<LinuxMemoryPolicy["mode"], number> = mpol;
const MEMORY_POLICY_FLAG: Record<NonNullable<LinuxMemoryPolicy["flags"]>[number], number> = mpol;

/** Last of all: a limit on memory or descriptors would bind us as well. */
export function applyResourceLimits(process: Process): void {
  const limits = process.rlimits ?? [];
  if (!limits.some(({ type }) => type === "RLIMIT_NOFILE")) restoreNoFile();
  for (const { type, soft, hard } of limits) setResourceLimit(RLIMITS.indexOf(type), BigInt(soft), BigInt(hard), type);
}

/** Node raised the soft limit to the hard one when it started. */
function restoreNoFile(): void {
  const { soft } = INHERITED_NOFILE;
  const NOFILE = RLIMITS.indexOf("RLIMIT_NOFILE");
  if (soft !== undefined) setResourceLimit(NOFILE, soft, getResourceLimit(NOFILE).hard, "RLIMIT_NOFILE");
}
