/**
 * The sentry's process: init of the sandbox's outer pid namespace, in which those of its containers lie. One loop, which never blocks on a guest.
 * Its end, however it comes, is the end of all of the sandbox's processes: the kernel kills what a pid namespace's init leaves behind.
 * Source: pid_namespaces(7).
 */
import { POLLHUP, POLLIN } from "../linux/abi/poll.ts";
import { assertNever } from "../linux/errors.ts";
import type { Fd } from "../linux/fd.ts";
import { acceptUnix } from "../linux/socket.ts";
import { receiveNews, type Admission, type NamedFds } from "./messages.ts";
import type { Platform, Source } from "./platform/platform.ts";
import type { StrictSentry } from "./strict/sentry.ts";
import { Resident, type ResidentOptions, type WatchedGofer } from "./resident.ts";
import { LOOK_EVERY } from "./watchdog.ts";

export interface SentryOptions {
  /** The sandbox's first container. */
  readonly first: ResidentOptions;
  readonly platform: Platform;
  /** Messages of the runtime and of the first container's init (messages.ts). Hung up, it brings no more filters. */
  readonly channel: Fd;
  /** For a container that joins. */
  readonly admit: (admission: Admission, fds: NamedFds) => ResidentOptions;
  /** Under the policy `strict`, which is for one container: the sentry is in its namespaces. */
  readonly strict?: StrictSentry | undefined;
}

/** Filters, one for each container and one for each `exec` that is under way, and what there is besides for each container. */
const MAX_SOURCES = 1024;
/** Places in it that connections leave to what they bring. */
const RESERVED = 128;

/**
 * Returns when all containers have ended. A container has when all its gofers have in good order, which they do after the guest: its tasks give
 * their filters up before what they have mapped of files is written back. Where there was no gofer yet, when nobody is left to serve.
 * A gofer that ends before that ends its container: the last one by the end of the sandbox, which is the kernel's work.
 * @throws Error where a gofer of the last container has gone before.
 */
export function serveSandbox({ first, platform, channel, admit, strict }: SentryOptions): void {
  const polled = platform.waitSet(MAX_SOURCES);
  /** Beside `polled`, index for index. */
  const entries: Entry[] = [];
  const add = (entry: Entry) => {
    polled.add(entry.fd, POLLIN);
    entries.push(entry);
  };
  const residents: Resident[] = [];
  const host = settle(first);
  add({ kind: "peer", fd: channel, of: host });
  if (strict !== undefined) add({ kind: "events", fd: strict.epoll.fd, of: host, strict });
  for (;;) {
    const ready = polled.wait(LOOK_EVERY);
    for (const { observer } of residents) observer.watchdog.woken(ready);
    if (ready > 0 && serveReady()) endResidents();
    if (residents.length === 0) return;
  }

  function settle(options: ResidentOptions): Resident {
    const resident = new Resident(options, strict?.handlers);
    residents.push(resident);
    add({ kind: "door", fd: resident.door, of: resident });
    return resident;
  }

  /** @returns whether something has ended. */
  function serveReady(): boolean {
    let removed = false;
    // From the end: what is removed is replaced by an entry that has been served already.
    for (let i = polled.size - 1; i >= 0; i--) {
      const ready = polled.ready(i);
      const entry = entries[i];
      if (ready === 0 || entry === undefined || serve(entry, ready)) continue;
      remove(i);
      removed = true;
    }
    // Its mounts, and with them its gofers, end when nobody is in them.
    // On platform ptrace its tracer says when.
    if (removed && platform === strict && entries.every(({ kind }) => kind !== "source")) strict.namespaces.leave();
    return removed;
  }

  /** @returns false where nothing more will come from it. */
  function serve(entry: Entry, ready: number): boolean {
    switch (entry.kind) {
      case "gofer":
        goferHasEnded(entry.of, entry.gofer);
        return false;
      case "source":
        return (ready & POLLIN) !== 0 ? entry.source.serve(entry.of.handle) : (ready & POLLHUP) === 0;
      case "events":
        entry.strict.happened(entry.of.handle);
        return true;
      case "door":
        if (polled.size < MAX_SOURCES - RESERVED) add({ kind: "peer", fd: acceptUnix(entry.fd), of: entry.of });
        return true;
      case "peer":
        return take(entry);
      default:
        return assertNever(entry);
    }
  }

  function goferHasEnded(of: Resident, gofer: WatchedGofer | undefined): void {
    if (gofer?.isDone() === true) return;
    const why = `the gofer of ${gofer?.serves ?? "nobody knows what"} has ended`;
    if (residents.length === 1) throw new Error(why);
    of.fail(why);
  }

  function take(peer: Peer): boolean {
    const news = receiveNews(peer.fd);
    switch (news?.kind) {
      case undefined:
        return false;
      case "member":
        // Who may connect is root, and asks before: a bug of ours.
        if (peer.of !== host || strict !== undefined) return false;
        peer.of = settle(admit(news.admission, news.fds));
        return true;
      case "init":
        peer.of.hasInit(news.fd);
        return true;
      case "gofer":
        add({ kind: "gofer", fd: news.fd, of: peer.of, gofer: peer.of.nextGofer() });
        return true;
      case "listener":
        add({ kind: "source", fd: news.fd, of: peer.of, source: platform.attach(news.fd) });
        return true;
      case "gate":
        add({ kind: "source", fd: news.fd, of: peer.of, source: platform.attach(news.fd, news.strace) });
        return true;
      default:
        return assertNever(news);
    }
  }

  function endResidents(): void {
    for (const resident of residents.filter((one) => !isInhabited(one))) {
      residents.splice(residents.indexOf(resident), 1);
      for (let i = polled.size - 1; i >= 0; i--) if (entries[i]?.of === resident) remove(i);
      resident.end();
    }
  }

  function isInhabited(resident: Resident): boolean {
    const has = (kind: Entry["kind"]) => entries.some((entry) => entry.of === resident && entry.kind === kind);
    return has("gofer") || (!resident.hasGofers && (has("source") || has("peer")));
  }

  function remove(index: number): void {
    polled.remove(index);
    entries[index]?.fd.close();
    const last = entries.pop();
    if (last !== undefined && index < entries.length) entries[index] = last;
  }
}

interface Peer {
  readonly kind: "peer";
  readonly fd: Fd;
  of: Resident;
}

/** What is waited for, and the container that it is about. */
type Entry =
  | Peer
  | { readonly kind: "source"; readonly fd: Fd; readonly of: Resident; readonly source: Source }
  | { readonly kind: "door"; readonly fd: Fd; readonly of: Resident }
  | { readonly kind: "events"; readonly fd: Fd; readonly of: Resident; readonly strict: StrictSentry }
  | { readonly kind: "gofer"; readonly fd: Fd; readonly of: Resident; readonly gofer: WatchedGofer | undefined };
