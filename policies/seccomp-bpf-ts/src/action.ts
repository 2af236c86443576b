// What a filter returns: an action in the upper and data in the lower 16 bits (include/uapi/linux/seccomp.h).

const actionValues = {
  "kill-process": 0x8000_0000,
  "kill-thread": 0x0000_0000,
  trap: 0x0003_0000,
  errno: 0x0005_0000,
  notify: 0x7fc0_0000,
  trace: 0x7ff0_0000,
  log: 0x7ffc_0000,
  allow: 0x7fff_0000,
} as const;

export type ActionName = keyof typeof actionValues;

/** In the kernel's order of precedence, most restrictive first. */
export const actionNames = Object.keys(actionValues) as ActionName[];

/** What happens to a call. `data`: the errno, the tracer's message or SIGSYS's si_errno; 0 for the other actions. */
export interface Verdict {
  readonly action: ActionName;
  readonly data: number;
}

/** Above this the kernel returns this (MAX_ERRNO, kernel/seccomp.c __seccomp_filter). */
export const MAX_ERRNO = 4095;

export const EPERM = 1;
export const ENOSYS = 38;

const takesData = (action: ActionName): boolean => action === "errno" || action === "trace" || action === "trap";

/** @throws RangeError when `data` does not fit: errno 0-4095, trace and trap 0-65535, no data for the others. */
export function encodeVerdict(verdict: Verdict): number {
  const { action, data } = verdict;
  const limit = action === "errno" ? MAX_ERRNO : takesData(action) ? 0xffff : 0;
  if (!Number.isInteger(data) || data < 0 || data > limit) {
    throw new RangeError(`${action}: data ${data} is not in 0..${limit}`);
  }
  return (actionValues[action] | data) >>> 0;
}

/** What the kernel makes of a returned value: an action it does not know kills the process. */
export function decodeVerdict(value: number): Verdict {
  const upper = (value & 0xffff_0000) >>> 0;
  const action = actionNames.find((name) => actionValues[name] === upper) ?? "kill-process";
  const data = value & 0xffff;
  if (!takesData(action)) return { action, data: 0 };
  return { action, data: action === "errno" ? Math.min(data, MAX_ERRNO) : data };
}

/** Several filters: the action that is least as a signed number wins (kernel/seccomp.c seccomp_run_filters). */
export function actionRank(value: number): number {
  return (value & 0xffff_0000) | 0;
}

export function formatVerdict(verdict: Verdict): string {
  return takesData(verdict.action) ? `${verdict.action}(${verdict.data})` : verdict.action;
}
