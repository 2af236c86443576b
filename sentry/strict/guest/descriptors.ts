/** The guest's descriptors: which description each stands for, and new ones for its calls. The table is the kernel's; in it are placeholders (placeholders.ts). */
import { EMFILE, ENOENT, ESRCH } from "../../../linux/abi/errno.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import { isErrno } from "../../../linux/errors.ts";
import { Fd } from "../../../linux/fd.ts";
import { madeBy } from "../../../linux/made-by.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { getPid } from "../../../linux/process.ts";
import { Listener } from "../../../linux/seccomp-notify.ts";
import { CONTINUE } from "../../platform/platform.ts";
import type { StrictCall } from "../../platform/ptrace/strict-call.ts";
import { copyOut, small } from "../memory.ts";
import type { Description } from "../objects/description.ts";
import { HostFile, inodeOf } from "../objects/files.ts";
import { SignalFile } from "../objects/signalfd.ts";
import type { WaitingCalls } from "../objects/waiting.ts";
import { ANSWERED, type Trapped } from "../trapped.ts";
import type { Callers } from "./callers.ts";
import type { Namespaces } from "./namespaces.ts";
import type { Found, Placeholders } from "./placeholders.ts";
import type { Procfs } from "./procfs.ts";

const READABLE = POLLIN | POLLHUP | POLLERR;
const WRITABLE = POLLOUT | POLLHUP | POLLERR;

/** A descriptor of the caller's, and what it is waited for: POLL*. */
export interface Asked {
  readonly file: Description;
  readonly number: number;
  readonly events: number;
}

/** What takes a placeholder's place. */
export interface Lendable {
  readonly fd: Fd;
  /** It has been taken back. */
  end?(): void;
}

/** What the kernel works with in the placeholder's place. */
interface Lent {
  readonly file: Description;
  readonly what: Lendable;
  readonly number: number;
  /** A placeholder that nobody has yet. */
  readonly given: Fd;
}

export interface DescriptorsOptions {
  readonly placeholders: Placeholders;
  readonly namespaces: Namespaces;
  readonly callers: Callers;
  readonly procfs: Procfs;
  readonly waiting: WaitingCalls;
  /** A description for an open file that the guest was born with, or the kernel has worked with. @param opener the caller's process. */
  readonly adopt: (fd: Fd, opener: number | undefined) => Description;
}

export class Descriptors {
  readonly #options: DescriptorsOptions;
  readonly #placeholders: Placeholders;
  readonly #callers: Callers;
  readonly #procfs: Procfs;
  /** By task (`lendFor`). */
  readonly #lent = new Map<number, Lent>();

  constructor(options: DescriptorsOptions) {
    this.#options = options;
    this.#placeholders = options.placeholders;
    this.#callers = options.callers;
    this.#procfs = options.procfs;
  }

  /** What the caller's descriptor is. */
  find(call: Trapped, number: number): Found {
    this.#options.namespaces.enter(call.pid);
    return this.#placeholders.find(call.pid, number, () => this.#callers.asSentry());
  }

  /** What the caller's descriptor stands for; undefined where it is not open. One that is no placeholder becomes one. */
  file(call: Trapped, number: number): Description | undefined {
    if (number < 0) return undefined;
    const before = madeBy(undefined);
    const found = this.find(call, number);
    const file = found.kind === "ours" ? found.description : found.kind === "foreign" ? this.#adopt(call, number) : undefined;
    madeBy(file instanceof HostFile && file.desk !== undefined ? file.desk.maker : before);
    return file;
  }

  /** As `inodeOf` has it; undefined where the task has no such file. */
  inodeAt(task: number, number: number): string | undefined {
    const found = this.#placeholders.find(task, number, () => this.#callers.asSentry());
    if (found.kind === "ours") return found.description instanceof HostFile ? inodeOf(found.description.fd) : undefined;
    return found.kind === "foreign" ? this.#placeholders.lastInode : undefined;
  }

  #adopt(call: Trapped, number: number): Description | undefined {
    const task = this.#callers.task(call);
    this.#callers.asSentry();
    const lent = this.#lent.size === 0 ? undefined : this.#findLent(call, number);
    const copy = lent !== undefined ? 0 : task === undefined ? -ESRCH : kernel.copyDescriptor(task.pidfd.number, number);
    if (copy < 0) return undefined;
    const description = lent ?? this.#options.adopt(new Fd(copy), task?.leader);
    using given = this.#placeholders.create(description);
    call.replaceDescriptor(given, number, this.#procfs.isClosedOnExec(call, number));
    return description;
  }

  /** A copy of one of the caller's. @returns the negative errno. */
  copy(call: Trapped, number: number): number {
    const task = this.#callers.task(call);
    this.#callers.asSentry();
    return task === undefined ? -ESRCH : kernel.copyDescriptor(task.pidfd.number, number);
  }

  /** Answers with a descriptor for the description. */
  give(call: Trapped, description: Description, closeOnExec: boolean): number {
    if (!(call instanceof Listener)) return this.#adoptSocket(call, description, closeOnExec);
    using given = this.#place(description);
    if (given === undefined) return -EMFILE;
    const result = call.answerWithDescriptor(given, closeOnExec);
    return result < 0 && result !== -ENOENT ? result : ANSWERED;
  }

  /** Two descriptors, whose numbers are written to the guest's memory. */
  giveTwo(call: Trapped, one: Description, other: Description, closeOnExec: boolean, address: number): number {
    small.bytes.fill(0, 0, 8);
    const writable = copyOut(call, address, small, 8);
    if (writable < 0) return writable;
    for (const [i, description] of [one, other].entries()) {
      const number = this.#add(call, description, closeOnExec);
      if (number < 0) return number;
      small.view.setInt32(4 * i, number, true);
    }
    return copyOut(call, address, small, 8);
  }

  #add(call: Trapped, description: Description, closeOnExec: boolean): number {
    if (!(call instanceof Listener)) return this.#adoptSocket(call, description, closeOnExec);
    using given = this.#place(description);
    return given === undefined ? -EMFILE : call.addDescriptor(given, closeOnExec);
  }

  /** The caller makes itself what is to stand for the description. @returns its number or the negative errno. */
  #adoptSocket(call: StrictCall, description: Description, closeOnExec: boolean): number {
    madeBy(undefined);
    const number = call.makeSocket(closeOnExec);
    const copy = number < 0 ? number : this.copy(call, number);
    if (copy >= 0) {
      using end = new Fd(copy);
      const watch = call.otherEndOf(end);
      if (watch !== undefined) {
        this.#placeholders.adopt(description, end, watch);
        return number;
      }
    }
    if (!this.#placeholders.has(description)) description.close();
    return number < 0 ? number : -EMFILE;
  }

  /** @returns undefined where the sentry has no more descriptors; a description that nobody has then is closed. */
  #place(description: Description, kind: "one-way" | "two-way" = "one-way"): Fd | undefined {
    madeBy(undefined);
    try {
      return kind === "one-way" ? this.#placeholders.create(description) : this.#placeholders.createTwoWay(description);
    } catch (error) {
      if (isErrno(error, EMFILE)) {
        if (!this.#placeholders.has(description)) description.close();
        return undefined;
      }
      throw error;
    }
  }

  /**
   * The kernel does the call with the file itself under the caller's number; by the caller's next call it has, and the placeholder takes its place
   * again. Until then the description is kept, and who else uses the number finds it.
   */
  lendFor(call: Trapped, file: Description, number: number, what: Lendable): number {
    // Known, so that its end is told of.
    if (this.#callers.task(call) === undefined) return -ESRCH;
    const given = this.#place(file);
    if (given === undefined) return -EMFILE;
    const result = call.replaceDescriptor(what.fd, number, this.#procfs.isClosedOnExec(call, number));
    if (result < 0) {
      given.close();
      return result;
    }
    this.forget(call.pid);
    this.#lent.set(call.pid, { file, what, number, given });
    return CONTINUE;
  }

  /** The caller's next call. */
  takeBackLent(call: Trapped): void {
    if (this.#lent.size === 0) return;
    const lent = this.#lent.get(call.pid);
    if (lent === undefined) return;
    this.#lent.delete(call.pid);
    this.#callers.asSentry();
    if (kernel.isSameFile(call.pid, lent.number, getPid(), lent.what.fd.number)) call.replaceDescriptor(lent.given, lent.number, this.#procfs.isClosedOnExec(call, lent.number));
    lent.given.close();
    lent.what.end?.();
  }

  /** The task is gone. */
  forget(task: number): void {
    const lent = this.#lent.get(task);
    this.#lent.delete(task);
    lent?.given.close();
    lent?.what.end?.();
  }

  /** What another thread has been lent. */
  #findLent(call: Trapped, number: number): Description | undefined {
    for (const { file, what, number: other } of this.#lent.values()) {
      if (other === number && kernel.isSameFile(call.pid, number, getPid(), what.fd.number)) return file;
    }
    return undefined;
  }

  /**
   * A call waits in the kernel for its descriptors to become ready: they will be when the descriptions are. How long is not known, so it
   * lasts until the next such call. @returns 0 or the negative errno.
   */
  mirror(call: Trapped, asked: readonly Asked[]): number {
    for (const { file, number, events } of asked) {
      const made = this.#makeMirror(call, file, number, events);
      if (made < 0) return made;
      if (!(file instanceof SignalFile)) this.#options.waiting.mirror(file, (events & POLLOUT) | READABLE);
    }
    return 0;
  }

  /** What the caller has under the number becomes something that can be waited for in that way. @returns 0 or the negative errno. */
  #makeMirror(call: Trapped, file: Description, number: number, events: number): number {
    if (file instanceof SignalFile) {
      const lent = this.lendFor(call, file, number, { fd: file.fd });
      return lent === CONTINUE ? 0 : lent;
    }
    if ((events & POLLOUT) === 0 && !this.#placeholders.isTwoWay(file)) {
      this.#placeholders.unmark(file);
      return 0;
    }
    using given = this.#place(file, "two-way");
    if (given === undefined) return -EMFILE;
    return Math.min(call.replaceDescriptor(given, number, this.#procfs.isClosedOnExec(call, number)), 0);
  }

  /** Descriptions have changed for which calls wait in the kernel, or may have before they were waited for. */
  markMirrored(): void {
    const { waiting } = this.#options;
    for (const file of waiting.mirroredWoken) {
      const ready = file.ready();
      const events = ((ready & READABLE) === 0 ? 0 : POLLIN) | ((ready & WRITABLE) === 0 ? 0 : POLLOUT);
      if (events === 0) continue;
      this.#placeholders.mark(file, events);
      waiting.mirrorLess(file, (events & POLLIN) === 0 ? POLLOUT : READABLE | (events & POLLOUT));
    }
    waiting.mirroredWoken.clear();
  }
}
