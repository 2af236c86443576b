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
import { LOOK_EVERY, type Meter, type Watchdog } from "./watchdog.ts";

export interface SentryOptions {
  readonly kernel: Kernel;
  readonly platform: Platform;
  /** Messages of the runtime and of the guest's init (messages.ts). Hung up, it brings no more filters. */
  readonly channel: Fd;
  /** A listening socket, at which processes that enter the sandbox later hand in their filters. */
  readonly door: Fd;
  readonly observer: Observer;
}

/** Counts, and looks after the gofer (watchdog.ts). */
export interface Observer {
  readonly meter: Meter;
  readonly watchdog: Watchdog;
  /** Whether the gofer has ended because the guest's mounts are gone. */
  readonly goferDone: () => boolean;
}

/** Filters: one for the first process, one for each `exec` that is under way. */
const MAX_SOURCES = 1024;

/** Milliseconds for a dying gofer's pidfd to tell; the end of a sandbox in good order takes as much longer at most. */
const GOFER_END = 20;

/** Returns when nobody is left to serve. @throws Error where the gofer has gone before. */
export function serveSandbox({ kernel, platform, channel, door, observer }: SentryOptions): void {
  const handle = dispatcher(kernel, observer.meter);
  const polled = new PollSet(MAX_SOURCES);
  /** Beside `polled`, index for index. */
  const entries: Entry[] = [];
  const add = (entry: Entry) => {
    polled.add(entry.fd, POLLIN);
    entries.push(entry);
  };
  add({ kind: "peer", fd: channel });
  add({ kind: "door", fd: door });
  for (;;) {
    observer.watchdog.woken(polled.wait(LOOK_EVERY));
    let removed = false;
    // From the end: what is removed is replaced by an entry that has been served already.
    for (let i = polled.size - 1; i >= 0; i--) {
      const ready = polled.ready(i);
      const entry = entries[i];
      if (ready === 0 || entry === undefined) continue;
      if (entry.kind === "gofer") {
        if (observer.goferDone()) return;
        throw new Error("the gofer has ended");
      }
      if (serve(entry, ready)) continue;
      remove(i);
      removed = true;
    }
    if (removed && !entries.some(({ kind }) => kind === "source" || kind === "peer")) return lookAfterGofer();
  }

  /** A gofer that dies takes the guest with it, and may itself be seen to have ended a moment later: its files are closed first. */
  function lookAfterGofer(): void {
    const gofer = entries.find(({ kind }) => kind === "gofer");
    if (gofer === undefined) return;
    const last = new PollSet(1);
    last.add(gofer.fd, POLLIN);
    if (last.wait(GOFER_END) > 0 && !observer.goferDone()) throw new Error("the gofer has ended");
  }

  /** @returns false where nothing more will come from it. */
  function serve(entry: Exclude<Entry, { kind: "gofer" }>, ready: number): boolean {
    switch (entry.kind) {
      case "source":
        if ((ready & POLLIN) !== 0) entry.source.serve(handle);
        return (ready & POLLIN) !== 0 || (ready & POLLHUP) === 0;
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
    if (kind === "gofer") add({ kind: "gofer", fd });
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

type Entry =
  | { readonly kind: "source"; readonly fd: Fd; readonly source: Source }
  | { readonly kind: "peer"; readonly fd: Fd }
  | { readonly kind: "door"; readonly fd: Fd }
  | { readonly kind: "gofer"; readonly fd: Fd };
