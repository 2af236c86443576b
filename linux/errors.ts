import { getSystemErrorMap } from "node:util";
import { EIO } from "./abi/errno.ts";
import { faultAt } from "./fault.ts";

const names = new Map<number, string>();
const messages = new Map<number, string>();
for (const [code, [name, message]] of getSystemErrorMap()) {
  names.set(-code, name);
  messages.set(-code, message);
}

/** The symbolic name of an errno (`ENOENT`), or `errno 999` where libc has none. Source: errno(3). */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** What a `SysError` is made of. It crosses process boundaries as this plain structure. */
export interface SysErrorFields {
  readonly syscall: string;
  /** Positive errno; 0 where the kernel did not refuse but we did. */
  readonly errno: number;
  readonly path?: string | undefined;
  /** The set-up step in progress, for example `mounts`. */
  readonly step?: string | undefined;
  /** What the reader can do about it, or a reason of our own. */
  readonly hint?: string | undefined;
}

/** A failed system call on the control plane. The hot path returns a negative errno instead. */
export class SysError extends Error {
  override readonly name = "SysError";
  readonly fields: SysErrorFields;

  constructor(fields: SysErrorFields) {
    super(describe(fields));
    this.fields = fields;
  }

  get errno(): number {
    return this.fields.errno;
  }

  /** The symbolic errno, in the place where Node's own errors have it. */
  get code(): string {
    return errnoName(this.fields.errno);
  }

  /** The same error, told what the caller was about to do. An inner step, being nearer to the cause, is kept. */
  within(step: string): SysError {
    return this.fields.step === undefined ? new SysError({ ...this.fields, step }) : this;
  }
}

function describe({ syscall, errno, path, step, hint }: SysErrorFields): string {
  const subject = path === undefined ? syscall : `${syscall} ${path}`;
  const reason = errno === 0 ? "" : `: ${messages.get(errno) ?? "error"} (${errnoName(errno)})`;
  return `${step === undefined ? "" : `${step}: `}${subject}${reason}${hint === undefined ? "" : `; ${hint}`}`;
}

/**
 * Turns a raw result into a value or a throw.
 * @throws SysError where `result` is a negative errno.
 */
export function check(result: number, syscall: string, path?: string): number {
  if (result < 0) throw new SysError({ syscall, errno: -result, path });
  return result;
}

/** Runs `action`; a SysError that leaves it carries `step`, and so does an error of Node's own file functions, as a SysError. */
export function inStep<T>(step: string, action: () => T): T {
  try {
    if (faultAt(step)) throw new SysError({ syscall: "injected fault", errno: EIO });
    return action();
  } catch (error) {
    const known = error instanceof SysError ? error : fromNode(error);
    throw known?.within(step) ?? error;
  }
}

function fromNode(error: unknown): SysError | undefined {
  const { errno, syscall, path } = error as NodeJS.ErrnoException;
  return typeof errno === "number" && syscall !== undefined ? new SysError({ syscall, errno: -errno, path }) : undefined;
}

/** Whether `error` is a refusal of the kernel with one of these errnos; Node's own file errors count as well. */
export function isErrno(error: unknown, ...errnos: number[]): boolean {
  if (error instanceof SysError) return errnos.includes(error.errno);
  const errno = (error as NodeJS.ErrnoException | undefined)?.errno;
  return typeof errno === "number" && errnos.includes(-errno);
}

/** What was thrown, in words. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** For the `default` of an exhaustive switch. */
export function assertNever(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
