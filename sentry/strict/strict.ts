/** What the sentry is made of under the policy `strict`, as its handlers see it (sentry.ts puts it together). */
import type { Epoll } from "../../linux/epoll.ts";
import type { Callers } from "./guest/callers.ts";
import type { Descriptors } from "./guest/descriptors.ts";
import type { Locks } from "./guest/locks.ts";
import type { Namespaces } from "./guest/namespaces.ts";
import type { Procfs } from "./guest/procfs.ts";
import type { Streams } from "./objects/streams.ts";
import type { WaitingCalls } from "./objects/waiting.ts";
import type { Surroundings } from "./tasks/surroundings.ts";
import type { GuestTasks } from "./tasks/tasks.ts";
import type { Trapped } from "./trapped.ts";
import type { Volumes } from "./volumes/volumes.ts";

export interface Strict {
  /** What it waits with, besides the calls themselves. */
  readonly epoll: Epoll;
  readonly waiting: WaitingCalls;
  readonly tasks: GuestTasks;
  readonly surroundings: Surroundings;
  readonly callers: Callers;
  readonly descriptors: Descriptors;
  readonly streams: Streams;
  readonly locks: Locks;
  readonly namespaces: Namespaces;
  readonly procfs: Procfs;
  readonly volumes: Volumes;
  /** Takes notice of what the guest has closed before the call that is being handled. */
  noticeClosed(): void;
  /** What is to be done where the caller does not learn of the result: it has been interrupted, and the call will be made again. @returns `result`. */
  undoable(result: number, undo: () => void): number;
}

/** @returns a value from 0 on, a negative errno, CONTINUE, WAITS or ANSWERED. */
export type Handler = (call: Trapped, strict: Strict) => number;
