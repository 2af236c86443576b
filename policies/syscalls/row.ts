/** The vocabulary of the system call table: what may become of a call, decided by its number and its arguments alone. */
import type { ArgCheck } from "seccomp-bpf-ts";

/** The errnos that policies refuse with. Source: Linux include/uapi/asm-generic/errno.h. */
export const errnos = {
  EPERM: 1,
  EIO: 5,
  EBUSY: 16,
  EINVAL: 22,
  ENOTTY: 25,
  ENOSYS: 38,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  ESOCKTNOSUPPORT: 94,
  EAFNOSUPPORT: 97,
} as const;

export type ErrnoName = keyof typeof errnos;

/**
 * - `native`: the host's kernel does it, in the guest's own namespaces and with its ids; the sentry is not asked.
 * - `emulated`: it traps, and the sentry answers; the host's kernel never does it.
 * - `continued`: it traps, the sentry looks at the arguments' values and at the task, and either refuses or lets the kernel go on. Only where
 *   nothing that a pointer leads to decides: the kernel reads memory again (seccomp_unotify(2), SECCOMP_USER_NOTIF_FLAG_CONTINUE).
 * - `denied`: the filter answers with the errno. ENOSYS where the call should look absent, so that programs fall back; EPERM and others
 *   where they expect a refusal.
 */
export type Outcome =
  | { readonly kind: "native" }
  | { readonly kind: "emulated" }
  | { readonly kind: "continued" }
  | { readonly kind: "denied"; readonly errno: ErrnoName };

export const native: Outcome = { kind: "native" };
export const emulated: Outcome = { kind: "emulated" };
export const continued: Outcome = { kind: "continued" };
export const denied = (errno: ErrnoName): Outcome => ({ kind: "denied", errno });

/** Least confined first: a call's class is the first of these that any of its outcomes has. */
export const syscallClasses = ["native", "continued", "emulated", "denied"] as const satisfies readonly Outcome["kind"][];

export type SyscallClass = (typeof syscallClasses)[number];

/** An outcome for some arguments only. */
export interface Case {
  /** Which arguments, in words for a reader of the documentation. */
  readonly what: string;
  /** Holds when all checks of one of these hold. */
  readonly anyOf: readonly (readonly ArgCheck[])[];
  readonly outcome: Outcome;
}

/** Calls that share outcome and reason. */
export interface Group {
  readonly reason: string;
  /** Names separated by blanks. */
  readonly names: string;
  /** The first that holds decides. */
  readonly cases?: readonly Case[];
  /** When no case holds. */
  readonly outcome: Outcome;
}

/** A subject of the table: one file in areas/, one heading in the documentation. */
export interface Area {
  readonly title: string;
  readonly groups: readonly Group[];
  /** Older or longer forms of a call above, with all that it may do and no more: form to call. Native, whatever their arguments. */
  readonly forms?: Readonly<Record<string, string>>;
}

export interface SyscallRow {
  readonly nr: number;
  readonly name: string;
  readonly area: string;
  readonly class: SyscallClass;
  readonly cases: readonly Case[];
  readonly otherwise: Outcome;
  readonly reason: string;
  /** The native call whose kernel code this one reaches, and no other. */
  readonly formOf?: string;
}

/** Every outcome that some arguments lead to, the last one being what holds when no case does. */
export function outcomesOf(row: Pick<SyscallRow, "cases" | "otherwise">): Outcome[] {
  return [...row.cases.map(({ outcome }) => outcome), row.otherwise];
}
