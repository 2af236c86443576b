/**
 * The sentry's process: init of the sandbox's outer pid namespace, in which the guest's own lies. One loop, which never blocks on a guest.
 * Its end, however it comes, is the end of all of the sandbox's processes: the kernel kills what a pid namespace's init leaves behind.
 * Source: pid_namespaces(7).
 */
import { POLLHUP, POLLIN } from "../linux/abi/poll.ts";
import { assertNever } from "../linux/errors.ts";
import type { Fd } from "../linux/fd.ts";
import { PollSet } from "../linux/poll-set.ts";
import { acceptUnix } from "../linux/socket.ts";
import { dispatcher } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";
import { receiveFd } from "./messages.ts";
import type { Platform, Source } from "./platform/platform.ts";
import type { Strict } from "./strict/strict.ts";
import { LOOK_EVERY, type Meter, type Watchdog } from "./watchdog.ts";

export interface SentryOptions {
  readonly kernel: Kernel;
  readonly platform: Platform;
  /** Messages of the runtime and of the guest's init (messages.ts). Hung up, it brings no more filters. */
  readonly channel: Fd;
  /** A listening socket, at which processes that enter the sandbox later hand in their filters. */
  readonly door: Fd;
  readonly observer: Observer;
  /** Under the policy `strict`. */
  readonly strict?: Strict | undefined;
}

/** Counts, and looks after the gofers (watchdog.ts). */
export interface Observer {
  readonly meter: Meter;
  readonly watchdog: Watchdog;
  /** In the order in which their pidfds come. */
  readonly gofers: readonly WatchedGofer[];
}

export interface WatchedGofer {
  /** What it serves, for whoever reads that it has ended. */
  readonly serves: string;
  /** Whether it has ended because the guest's mounts are gone. */
  readonly isDone: () => boolean;
}

/** Filters: one for the first process, one for each `exec` that is under way. */
const MAX_SOURCES = 1024;

/**
 * Returns when all gofers have ended in good order, which they do after the guest: its tasks give their filters up before what they have mapped of
 * files is written back. Where there was none yet, when nobody is left to serve. @throws Error where a gofer has gone before.
 */
export function serveSandbox({ kernel, platform, channel, door, observer, strict }: SentryOptions): void {
  const handle = dispatcher(kernel, observer.meter, strict?.handlers);
  const polled = new PollSet(MAX_SOURCES);
  /** Beside `polled`, index for index. */
  const entries: Entry[] = [];
  const add = (entry: Entry) => {
    polled.add(entry.fd, POLLIN);
    entries.push(entry);
  };
  add({ kind: "peer", fd: channel });
  add({ kind: "door", fd: door });
  if (strict !== undefined) add({ kind: "events", fd: strict.epoll.fd, strict });
  let gofers = 0;
  for (;;) {
    observer.watchdog.woken(polled.wait(LOOK_EVERY));
    let removed = false;
    // From the end: what is removed is replaced by an entry that has been served already.
    for (let i = polled.size - 1; i >= 0; i--) {
      const ready = polled.ready(i);
      const entry = entries[i];
      if (ready === 0 || entry === undefined || serve(entry, ready)) continue;
      remove(i);
      removed = true;
    }
    if (removed && !has("gofer") && (gofers > 0 || !(has("source") || has("peer")))) return;
  }

  function has(kind: Entry["kind"]): boolean {
    return entries.some((entry) => entry.kind === kind);
  }

  /** @returns false where nothing more will come from it. */
  function serve(entry: Entry, ready: number): boolean {
    switch (entry.kind) {
      case "gofer":
        mustBeDone(entry.gofer);
        return false;
      case "source":
        if ((ready & POLLIN) !== 0) entry.source.serve(handle);
        return (ready & POLLIN) !== 0 || (ready & POLLHUP) === 0;
      case "events":
        entry.strict.happened(handle);
        return true;
      case "door":
        if (polled.size < MAX_SOURCES - 1) add({ kind: "peer", fd: acceptUnix(entry.fd) });
        return true;
      case "peer":
        return take(entry.fd);
      default:
        return assertNever(entry);
    }
  }

  function take(peer: Fd): boolean {
    const message = receiveFd(peer);
    if (message === undefined) return false;
    const { kind, fd } = message;
    if (kind === "gofer") add({ kind: "gofer", fd, gofer: observer.gofers[gofers++] });
    else add({ kind: "source", fd, source: platform.attach(fd) });
    return true;
  }

  function remove(index: number): void {
    entries[index]?.fd.close();
    polled.remove(index);
    const last = entries.pop();
    if (last !== undefined && index < entries.length) entries[index] = last;
  }
}

function mustBeDone(gofer: WatchedGofer | undefined): void {
  if (gofer?.isDone() !== true) throw new Error(`the gofer of ${gofer?.serves ?? "nobody knows what"} has ended`);
}

type Entry =
  | { readonly kind: "source"; readonly fd: Fd; readonly source: Source }
  | { readonly kind: "peer"; readonly fd: Fd }
  | { readonly kind: "door"; readonly fd: Fd }
  | { readonly kind: "events"; readonly fd: Fd; readonly strict: Strict }
  | { readonly kind: "gofer"; readonly fd: Fd; readonly gofer: WatchedGofer | undefined };
