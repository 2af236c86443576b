import type { PLATFORM } from "./support.ts";

/** What the programs of test/guest/areas observe otherwise in a sandbox than natively, all of it, and why. */
export interface AreaDifference {
  readonly area: string;
  /** Lines that the program prints. */
  readonly native: string;
  readonly sandbox: string;
  readonly reason: string;
}

/** Areas that a platform does not have, whose program then prints one thing only. */
export const MISSING_AREAS: Readonly<Record<typeof PLATFORM, Readonly<Record<string, { readonly sandbox: string; readonly reason: string }>>>> = {
  notify: {},
  ptrace: { trace: { sandbox: "no task may be traced, errno: 1\n", reason: "Every task has the sentry for its tracer, and can have but one." } },
};

export const AREA_DIFFERENCES: readonly AreaDifference[] = [
  { area: "confine", native: "strict: strict", sandbox: "strict: strict mode: EINVAL", reason: "A task with a filter cannot enter strict mode; under runc's default profile neither." },
  { area: "confine", native: "1", sandbox: "0", reason: "The exit code of the same." },
  { area: "confine", native: "listener: a listener of its own: ok", sandbox: "listener: a listener of its own: EBUSY", reason: "The kernel has one for each task, and it is the sentry's." },
  {
    area: "locks",
    native: "found: 1 0 10 parent 1",
    sandbox: "found: 1 0 10 parent 0",
    reason: "On a shared volume: the gofer's lock on the host belongs to an open file, not to a process.",
  },
  {
    area: "locks",
    native: "told of the dead lock: 1",
    sandbox: "told of the dead lock: 0",
    reason: "On a shared volume: for such locks the kernel looks for no ring; who waits in one waits until a signal.",
  },
  { area: "memory", native: "huge pages: ENOMEM", sandbox: "huge pages: EINVAL", reason: "Refused whether the host has any or not." },
  { area: "processes", native: "an id that is not mapped: EPERM", sandbox: "an id that is not mapped: EINVAL", reason: "Only a user namespace knows such ids." },
  { area: "sockets", native: "SIOCSIFFLAGS: EPERM", sandbox: "SIOCSIFFLAGS: ENOTTY", reason: "Refused by the filter, as all requests are that change interfaces." },
  { area: "sockets", native: "a type that is not: EINVAL", sandbox: "a type that is not: ESOCKTNOSUPPORT", reason: "The filter answers for all types as the kernel does for those that have a number." },
  { area: "terminals", native: "TIOCSTI: ok", sandbox: "TIOCSTI: EPERM", reason: "Refused, as by a kernel with dev.tty.legacy_tiocsti=0, whose answer is EIO." },
  { area: "terminals", native: "TIOCSETD: ok", sandbox: "TIOCSETD: EPERM", reason: "Line disciplines are code that no guest needs." },
  { area: "timers", native: "adjtimex reads: ok", sandbox: "adjtimex reads: EPERM", reason: "The call also sets, which its argument's memory says; and its answer tells of the host's clock." },
];
