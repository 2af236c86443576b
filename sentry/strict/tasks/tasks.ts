/** What the sentry remembers of the guest's tasks, by thread id: who they are. */
import { ENOENT, ESRCH } from "../../../linux/abi/errno.ts";
import { O_RDONLY } from "../../../linux/abi/fcntl.ts";
import { isErrno } from "../../../linux/errors.ts";
import type { Epoll } from "../../../linux/epoll.ts";
import type { Fd } from "../../../linux/fd.ts";
import { openAt, read } from "../../../linux/file.ts";
import { POLLIN } from "../../../linux/abi/poll.ts";
import { openThread } from "../../../linux/pidfd.ts";

/** Ids as the guest's user namespace counts. */
export interface Identity {
  /** Of the file system. */
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** Effective capabilities. */
  readonly capabilities: bigint;
}

export interface Task {
  readonly pidfd: Fd;
  /** In its own pid namespace. */
  readonly guestPid: number;
  /** The process's thread that bears its id, as the sentry counts. */
  readonly leader: number;
  identity: Identity;
  /** With its real ids, and the capabilities that these would have. Source: access(2). */
  real: Identity;
  /** Something that changes the identity was going on when we last heard of it. */
  isStale: boolean;
}

/** Ids as the sentry counts; `terminal` is its device, 0 for none. Source: proc_pid_stat(5). */
export interface Job {
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly terminal: number;
  readonly foreground: number;
}

/** SCM_CREDENTIALS, as the guest counts. */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

const LONGEST_STATUS = 8192;

export class GuestTasks {
  readonly #proc: Fd;
  readonly #epoll: Epoll;
  readonly #byId = new Map<number, Task>();
  readonly #byPidfd = new Map<number, number>();
  /** Leaders whose threads have done what may give them that id, as somebody else: they are looked at each time. */
  readonly #volatile = new Set<number>();
  /** Some task may have a limit of file sizes. */
  limitsFileSizes = false;

  /** @param epoll tells of a pidfd when the task has ended (`ended`). */
  constructor(proc: Fd, epoll: Epoll) {
    this.#proc = proc;
    this.#epoll = epoll;
  }

  /** @returns undefined where it has ended. */
  get(id: number): Task | undefined {
    const known = this.#byId.get(id);
    if (known === undefined) return this.#learn(id);
    if (!known.isStale && !this.#volatile.has(id)) return known;
    const status = this.#status(id);
    if (status === undefined) return undefined;
    known.identity = identityIn(status);
    known.real = realIn(status, known.identity);
    known.isStale = false;
    return known;
  }

  /** It may be about to become somebody else. */
  changes(id: number): void {
    const known = this.get(id);
    if (known === undefined) return;
    known.isStale = true;
    // A thread that executes a program takes its leader's id, at a moment that nobody tells us of. Source: execve(2), "effect on process attributes".
    if (known.leader !== id) this.#volatile.add(known.leader);
  }

  /** Whether its id may have become another thread's by now. */
  isVolatile(id: number): boolean {
    return this.#volatile.has(id);
  }

  /** The mask of modes of files that it makes. */
  umask(id: number): number {
    return Number.parseInt(/^Umask:\t(\d+)$/m.exec(this.#status(id) ?? "")?.[1] ?? "22", 8);
  }

  /** Bit n for signal n + 1. */
  blockedSignals(id: number): bigint {
    return BigInt(`0x${/^SigBlk:\t([0-9a-f]+)$/m.exec(this.#status(id) ?? "")?.[1] ?? "0"}`);
  }

  /** Those that wait for the task or its process: bit n for signal n + 1. */
  pendingSignals(id: number): bigint {
    const status = this.#status(id) ?? "";
    return setIn(status, "SigPnd") | setIn(status, "ShdPnd");
  }

  /** Whether a signal, whose default that is, would end it now: it is neither blocked nor ignored nor caught. */
  isEndedBy(id: number, signal: number): boolean {
    const status = this.#status(id) ?? "";
    return ((setIn(status, "SigBlk") | setIn(status, "SigIgn") | setIn(status, "SigCgt")) >> BigInt(signal - 1)) % 2n === 0n;
  }

  /** Whether a signal would do nothing to the caller: it is blocked or ignored. */
  isDeaf(id: number, signal: number): boolean {
    const status = this.#status(id) ?? "";
    return ((setIn(status, "SigBlk") | setIn(status, "SigIgn")) >> BigInt(signal - 1)) % 2n === 1n;
  }

  /** @returns undefined where it has ended. */
  job(id: number): Job | undefined {
    const stat = this.#read(id, "stat");
    return stat === undefined ? undefined : parseJob(stat);
  }

  /** @returns the id of the task whose pidfd this is; undefined where it is none. It is forgotten. */
  ended(pidfd: number): number | undefined {
    const id = this.#byPidfd.get(pidfd);
    if (id !== undefined) this.#forget(id, pidfd);
    return id;
  }

  #forget(id: number, pidfd: number): void {
    const task = this.#byId.get(id);
    this.#byPidfd.delete(pidfd);
    this.#byId.delete(id);
    this.#volatile.delete(id);
    task?.pidfd.close();
  }

  #learn(id: number): Task | undefined {
    const pidfd = openThread(id);
    if (pidfd === undefined) return undefined;
    const status = this.#status(id);
    if (status === undefined) {
      pidfd.close();
      return undefined;
    }
    const identity = identityIn(status);
    const task = { pidfd, guestPid: Number(/^NSpid:.*\t(\d+)$/m.exec(status)?.[1] ?? 0), leader: Number(/^Tgid:\t(\d+)$/m.exec(status)?.[1] ?? id), identity, real: realIn(status, identity), isStale: false };
    this.#byId.set(id, task);
    this.#byPidfd.set(pidfd.number, id);
    this.#epoll.add(pidfd, POLLIN);
    return task;
  }

  #status(id: number): string | undefined {
    return this.#read(id, "status");
  }

  /** RLIMIT_FSIZE in bytes; Infinity where there is none. Source: proc_pid_limits(5). */
  fileSizeLimit(id: number): number {
    const limit = /^Max file size +(\d+)/m.exec(this.#read(id, "limits") ?? "")?.[1];
    return limit === undefined ? Infinity : Number(limit);
  }

  #read(id: number, name: "limits" | "stat" | "status"): string | undefined {
    try {
      using file = openAt(this.#proc, `${id}/${name}`, O_RDONLY);
      return Buffer.from(read(file, LONGEST_STATUS)).toString("latin1");
    } catch (error) {
      if (isErrno(error, ENOENT, ESRCH)) return undefined;
      throw error;
    }
  }
}

/** Source: proc_pid_status(5). */
const numbersIn = (status: string, name: string): number[] =>
  (new RegExp(`^${name}:\\t(.*)$`, "m").exec(status)?.[1] ?? "").split(/\s+/).filter((word) => word !== "").map(Number);

/** A set, in hexadecimal. */
const setIn = (status: string, name: string): bigint => BigInt(`0x${new RegExp(`^${name}:\\t([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "0"}`);

function identityIn(status: string): Identity {
  return {
    uid: numbersIn(status, "Uid")[3] ?? 65534,
    gid: numbersIn(status, "Gid")[3] ?? 65534,
    groups: numbersIn(status, "Groups"),
    capabilities: setIn(status, "CapEff"),
  };
}

/** Source: Linux fs/open.c, access_override_creds. */
function realIn(status: string, { groups }: Identity): Identity {
  const uid = numbersIn(status, "Uid")[0] ?? 65534;
  return { uid, gid: numbersIn(status, "Gid")[0] ?? 65534, groups, capabilities: uid === 0 ? setIn(status, "CapPrm") : 0n };
}

function parseJob(stat: string): Job {
  // The command's name, in parentheses, may hold anything.
  const [, parent = 0, group = 0, session = 0, terminal = 0, foreground = 0] = stat.slice(stat.lastIndexOf(")") + 2).split(" ").map(Number);
  return { parent, group, session, terminal, foreground };
}
