/** How trapped system calls reach the sentry. */
import type { Fd, FdLike } from "../../linux/fd.ts";
import type { PlatformName } from "../../policies/syscalls/names.ts";
import type { TellingTarget } from "../messages.ts";

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

/** Something that an entering process has sent, from which trapped calls come, or which leads to them. */
export interface Source {
  readonly fd: Fd;
  /** `fd` is readable. @param handle of the container that it is about. @returns false where nothing more will come of it. */
  serve(handle: Handle): boolean;
}

/** Descriptors that the sentry's loop waits for, by an index: see linux/poll-set.ts. */
export interface WaitSet {
  readonly size: number;
  add(fd: FdLike, events: number): number;
  remove(index: number): void;
  /** Waits until one is ready, and answers meanwhile the calls that come by no descriptor. @returns how many are; 0 after the time, or sooner. */
  wait(timeoutMs: number): number;
  ready(index: number): number;
}

export interface Platform {
  readonly name: PlatformName;
  /** @param fd as the entering process has sent it. @param strace where its calls are to be told of, which takes a tracer. */
  attach(fd: Fd, strace?: TellingTarget): Source;
  waitSet(capacity: number): WaitSet;
}
