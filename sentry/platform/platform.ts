/** How trapped system calls reach the sentry. */
import type { Fd } from "../../linux/fd.ts";

/** A trapped call; valid until its answer. */
export interface Call {
  /** Thread id in the sentry's pid namespace. */
  readonly pid: number;
  readonly nr: number;
  /** Argument 0 to 5 as an address or a size. */
  arg(index: number): number;
  /** Argument 0 to 5 as the kernel takes an `int`: the low 32 bits, signed. */
  int(index: number): number;
  /** Whether the caller still waits for the answer: to be asked after its memory has been read, and before anything follows from that. */
  isWaiting(): boolean;
}

/** A handler's result in the place of a value or a negative errno: the kernel is to run the call itself. Below every errno (4095). */
export const CONTINUE = -10_000;

/** @returns a value from 0 on, a negative errno, or CONTINUE. Never blocks, never throws for what a guest does. */
export type Handle = (call: Call) => number;

/** A source of trapped calls of one filter's tasks. */
export interface Source {
  /** Readable when a call waits; hung up when the filter's last task is gone. */
  readonly fd: Fd;
  /** Takes one call and answers it with what `handle` says. */
  serve(handle: Handle): void;
}

export interface Platform {
  readonly name: "notify";
  /** @param fd as the task that installed the filter has sent it. */
  attach(fd: Fd): Source;
}
