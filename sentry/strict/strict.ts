/**
 * The sentry's part under the policy `strict`: the guest's open files are its objects, its paths are looked up by it. See decision 0041.
 *
 *   trapped call --> handler --> a result: the caller goes on
 *                            --> WAITS: kept (waiting.ts) until a description is ready, and handled again
 *                            --> CONTINUE: the kernel does it
 */
import { EACCES, EAGAIN, EMFILE, ENOENT, EPERM, EPIPE, ESRCH } from "../../linux/abi/errno.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH, S_IFDIR, S_IFMT, S_IFREG } from "../../linux/abi/fcntl.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP } from "../../linux/abi/poll.ts";
import { Epoll } from "../../linux/epoll.ts";
import { isErrno, SysError } from "../../linux/errors.ts";
import { Fd, type FdLike } from "../../linux/fd.ts";
import { fileSystemMagic, open, openAt, read, statAt } from "../../linux/file.ts";
import { madeBy } from "../../linux/made-by.ts";
import { permanentBlock, scratch, type Addr, type Block } from "../../linux/memory.unsafe.ts";
import { CLONE_NEW, setNamespace } from "../../linux/namespace.ts";
import * as kernel from "../../linux/on-behalf.ts";
import { PollSet } from "../../linux/poll-set.ts";
import { changeDirectoryTo, changeRoot, getPid, killThread } from "../../linux/process.ts";
import { Listener } from "../../linux/seccomp-notify.ts";
import { now } from "../../linux/sleep.ts";
import type { StrictCall } from "../platform/ptrace/strict-call.ts";
import { CONTINUE, type Call, type Handle, type Platform, type Source } from "../platform/platform.ts";
import { strictHandlers } from "./handlers.ts";
import { Acting, NOBODY } from "./guest/acting.ts";
import type { Description } from "./objects/description.ts";
import { HostFile, HostStream } from "./objects/files.ts";
import { Errands, SENT, type Desk } from "./volumes/errands.ts";
import { inodeOf, Locks } from "./objects/locks.ts";
import { isMemoryFile, MemoryFile } from "./objects/memfd.ts";
import { copyOut, small } from "./guest/memory.ts";
import { adoptSignals } from "./objects/signalfd.ts";
import { adoptSocket } from "./objects/sockets/adopt.ts";
import type { Credentials } from "./objects/sockets/socket.ts";
import type { Pipe } from "./objects/pipe.ts";
import { Placeholders, type Found } from "./guest/placeholders.ts";
import { GuestTasks, type Task } from "./guest/tasks.ts";
import type { Job } from "./calls/terminals.ts";
import { strictSentryFilter } from "./compiled.ts";
import { ANSWERED, WAITS, type Handler, type Trapped } from "./trapped.ts";
import { modeOf, Volumes } from "./volumes/volumes.ts";
import { WaitingCalls, type Held } from "./objects/waiting.ts";

/** Where the guest's network namespace is: its own, which it has made, or one that the sentry is in already, as the guest is. */
export type Network = "guest's own" | "joined";

const S_IFSOCK = 0o140000;
/** CAP_*. */
const CAP = { setgid: 6, setuid: 7, sysAdmin: 21 } as const;
const EPOLLET = 0x8000_0000;
const EDGES = (POLLIN | POLLOUT | POLLPRI | POLLRDHUP | EPOLLET) >>> 0;
const PROC_SUPER_MAGIC = 0x9fa0;

/** /proc/PID/cgroup and mountinfo name cgroups as whoever reads them sees them. One that the configuration lends the guest is not its to enter, nor ours. */
function enterCgroupNamespace(guest: Fd): void {
  try {
    setNamespace(guest, CLONE_NEW.cgroup, "guest");
  } catch (error) {
    if (!isErrno(error, EPERM)) throw error;
  }
}
/** Descriptors of processes. */
const PID_FS_MAGIC = 0x50494446;
const READABLE = POLLIN | POLLHUP | POLLERR;

/** What the kernel works with in the placeholder's place. */
interface Lent {
  readonly file: HostStream;
  readonly number: number;
  /** A placeholder that nobody has yet. */
  readonly given: Fd;
}

function readAll(file: Fd): string {
  const chunks: Uint8Array[] = [];
  for (let chunk = read(file, 65_536); chunk.length > 0; chunk = read(file, 65_536)) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}

export class Strict implements Platform {
  readonly name = "notify";
  readonly epoll = new Epoll();
  readonly waiting = new WaitingCalls();
  readonly locks = new Locks(this);
  readonly proc: Fd;
  readonly #placeholders: Placeholders;
  readonly tasks: GuestTasks;
  readonly #acting = new Acting();
  readonly errands: Errands;
  readonly volumes: Volumes;
  readonly #network: Network;
  readonly #path = permanentBlock(32);
  /** By task (`lendFor`). */
  readonly #lent = new Map<number, Lent>();
  #entered = false;
  #ownRoot: Fd | undefined;
  #offsets = "";
  #inode = 1;
  #deadline: number | undefined;
  #held: Held | undefined;
  /** Of the call that is handled. */
  #caller = 0;
  #undo: (() => void) | undefined;
  /** By the descriptor that the kernel tells of. */
  readonly #streams = new Map<number, Description>();
  /** Named pipes that are open, by inode. */
  readonly pipes = new Map<string, Pipe>();
  /** Bytes that pipes have room for beyond what they are born with. */
  pipeGrowth = 0;
  readonly #procDevices = new Map<number, boolean>();

  /**
   * Preconditions: the sentry's jail, but for its filter. @param proc the procfs of the sentry's own pid namespace. @param network how the sentry comes to the guest's
   * network namespace. @param volumes where they are, by the gofer that serves them.
   */
  constructor(proc: Fd, network: Network = "joined", volumes: readonly (readonly string[])[] = []) {
    this.proc = proc;
    this.errands = new Errands({ proc, acting: this.#acting, wake: (trip) => this.waiting.wakeHolder(trip.pid, trip) });
    this.volumes = new Volumes(volumes.map((paths) => [this.#openDesk(), paths] as const));
    this.#network = network;
    this.#placeholders = new Placeholders(proc, this.epoll);
    this.tasks = new GuestTasks(proc, this.epoll);
    this.epoll.add(this.waiting.timer, 1);
  }

  #openDesk(): Desk {
    const desk = this.errands.add();
    desk.confine(strictSentryFilter());
    this.epoll.add(desk.runner.done, POLLIN);
    return desk;
  }

  /** For the dispatcher, which hands over the calls that `attach` has received. */
  get handlers(): Readonly<Record<string, (call: Call) => number>> {
    return Object.fromEntries(Object.entries(strictHandlers).map(([name, handler]) => [name, (call: Call) => this.#handle(handler, call as Trapped)]));
  }

  /** What the kernel refuses us where we had not thought of it, it refuses the caller: a guest that has found such a place is not to end the sandbox by it. */
  #handle(handler: Handler, call: Trapped): number {
    try {
      return handler(call, this);
    } catch (error) {
      if (error === SENT) return this.#waitForErrand(call);
      if (error instanceof SysError && error.errno > 0) return -error.errno;
      throw error;
    }
  }

  #waitForErrand(call: Trapped): number {
    const trip = this.errands.end(true);
    this.waiting.add(call, [], 0, Infinity, trip);
    return WAITS;
  }

  /** What it waits with. */
  get descriptors(): readonly Fd[] {
    return [this.epoll.fd, this.waiting.timer];
  }

  attach(fd: Fd): Source {
    const listener = new Listener(fd);
    listener.useSyncWakeUp();
    return { fd, serve: (handle) => this.#receive(listener, handle) };
  }

  waitSet(capacity: number): PollSet {
    return new PollSet(capacity);
  }

  #receive(listener: Listener, handle: Handle): boolean {
    if (listener.receive() === 0) this.received(listener, handle);
    return true;
  }

  received(call: Trapped, handle: Handle): void {
    this.waiting.forget(call.pid);
    this.#deadline = this.#held = undefined;
    if (this.#lent.size > 0) this.#takeBackLent(call);
    this.#answer(call, handle);
    this.resume(handle);
  }

  /** Makes what has been woken again. */
  resume(handle: Handle): void {
    if (this.waiting.mirroredWoken.size > 0) this.#markMirrored();
    for (let waiting = this.waiting.take(); waiting !== undefined; waiting = this.waiting.take()) {
      waiting.call.resume(waiting.saved);
      if (!waiting.call.isWaiting()) {
        waiting.held?.abandon();
        continue;
      }
      this.#deadline = waiting.deadline;
      this.#held = waiting.held;
      this.#answer(waiting.call, handle);
    }
  }

  #answer(call: Trapped, handle: Handle): void {
    this.#undo = undefined;
    this.#caller = call.pid;
    this.errands.begin(call, this.#held);
    const result = handle(call);
    this.errands.end(false);
    // A listener's is left by leaving it alone.
    if (result === WAITS && !(call instanceof Listener)) call.leave();
    if (result === WAITS || result === ANSWERED) return;
    const delivered = result === CONTINUE ? call.letRun() : call.answer(result);
    if (delivered === -ENOENT) this.#takeBack();
  }

  /**
   * The kernel does the call with the file itself under the caller's number; by the caller's next call it has, and the placeholder takes its place
   * again. Until then the description is kept, and who else uses the number finds it.
   */
  lendFor(call: Trapped, file: HostStream, number: number): number {
    // Known, so that its end is told of.
    if (this.task(call) === undefined) return -ESRCH;
    const given = this.#place(file);
    if (given === undefined) return -EMFILE;
    const result = call.replaceDescriptor(file.fd, number, this.isClosedOnExec(call, number));
    if (result < 0) {
      given.close();
      return result;
    }
    this.#lent.get(call.pid)?.given.close();
    this.#lent.set(call.pid, { file, number, given });
    return CONTINUE;
  }

  #takeBackLent(call: Trapped): void {
    const lent = this.#lent.get(call.pid);
    if (lent === undefined) return;
    this.#lent.delete(call.pid);
    this.asSentry();
    if (kernel.isSameFile(call.pid, lent.number, getPid(), lent.file.fd.number)) call.replaceDescriptor(lent.given, lent.number, this.isClosedOnExec(call, lent.number));
    lent.given.close();
  }

  #endLent(task: number): void {
    this.#lent.get(task)?.given.close();
    this.#lent.delete(task);
  }

  /** What another thread has been lent. */
  #findLent(call: Trapped, number: number): HostStream | undefined {
    for (const { file, number: other } of this.#lent.values()) {
      if (other === number && kernel.isSameFile(call.pid, number, getPid(), file.fd.number)) return file;
    }
    return undefined;
  }

  #takeBack(): void {
    this.#undo?.();
  }

  /** Something that was waited for with `epoll` has happened. */
  happened(handle: Handle): void {
    for (const { fd } of this.epoll.ready()) this.#happenedTo(fd);
    this.resume(handle);
  }

  /** Takes notice of what the guest has closed before the call that is being handled. */
  noticeClosed(): void {
    for (const { fd } of this.epoll.ready()) this.#happenedTo(fd);
  }

  #happenedTo(fd: number): void {
    if (fd === this.waiting.timer.number) return this.waiting.expire();
    if (this.#placeholders.isOurs(fd)) return this.#close(this.#placeholders.ended(fd));
    const desk = this.errands.desks.find(({ runner }) => runner.done.number === fd);
    if (desk !== undefined) return desk.finished();
    if (this.locks.ended(fd)) return;
    const task = this.tasks.ended(fd);
    if (task !== undefined) {
      this.#endLent(task);
      this.waiting.forget(task);
      return this.errands.forget(task);
    }
    const stream = this.#streams.get(fd);
    if (stream !== undefined) this.waiting.wake(stream);
  }

  #close(file: Description | undefined): void {
    if (file === undefined) return;
    for (const watcher of file.watchers) watcher.closed(file);
    file.watchers.clear();
    this.waiting.mirrored.delete(file);
    this.waiting.mirroredWoken.delete(file);
    if (file instanceof HostStream) this.#streams.delete(file.fd.number);
    if (file instanceof HostFile) this.locks.closed(file);
    if (file instanceof HostFile && !(file instanceof HostStream)) this.errands.close(file.fd, file.desk);
    else file.close();
  }

  /**
   * A call waits in the kernel for its descriptors to become readable: they will be when the descriptions are. How long is not known, so it
   * lasts until the next such call.
   */
  mirror(files: readonly Description[]): void {
    for (const file of files) {
      const isReadable = (file.ready() & READABLE) !== 0;
      this.#placeholders.mark(file, isReadable);
      if (isReadable) continue;
      this.waiting.mirrored.add(file);
      this.waiting.watch(file);
    }
  }

  #markMirrored(): void {
    for (const file of this.waiting.mirroredWoken) if ((file.ready() & READABLE) !== 0) {
      this.waiting.mirrored.delete(file);
      this.#placeholders.mark(file, true);
      this.waiting.watch(file);
    }
    this.waiting.mirroredWoken.clear();
  }

  /**
   * Enters the guest's user namespace, whose mounts answer nobody else, and takes its root, from where its names mean what they mean to it. Not its
   * mount namespace, which would not end before us, nor would the gofers then. Before its first execve there is nothing to look up.
   */
  #enter(call: Trapped): void {
    if (this.#entered) return;
    const pidfd = kernel.pidfd(call.pid);
    if (pidfd < 0) return;
    using guest = new Fd(pidfd);
    const isFirst = this.#ownRoot === undefined;
    if (isFirst) {
      const own = open("/", O_PATH | O_DIRECTORY);
      setNamespace(guest, CLONE_NEW.user, "guest");
      this.#acting.hasEnteredNamespace();
      enterCgroupNamespace(guest);
      if (this.#network === "guest's own") setNamespace(guest, CLONE_NEW.net, "guest");
      this.#ownRoot = own;
    }
    this.asSentry();
    using root = openAt(this.proc, `${call.pid}/root`, O_PATH | O_DIRECTORY);
    if (!this.volumes.isEmpty) this.#sendDesks(call.pid, isFirst);
    changeRoot(root);
    changeDirectoryTo(this.proc);
    this.#entered = true;
    using offsets = openAt(this.proc, `${call.pid}/timens_offsets`, 0);
    this.#offsets = Buffer.from(read(offsets, 256)).toString("latin1");
    this.tasks.limitsFileSizes = this.tasks.fileSizeLimit(call.pid) !== Infinity;
  }

  #sendDesks(task: number, isFirst: boolean): void {
    using mounts = openAt(this.proc, `${task}/mountinfo`, 0);
    this.volumes.learn(readAll(mounts));
    for (const desk of this.errands.desks) {
      const root = openAt(this.proc, `${task}/root`, O_PATH | O_DIRECTORY);
      const user = isFirst ? new Fd(kernel.pidfd(task)) : undefined;
      desk.enter(root.number, this.proc, user, user === undefined ? [root] : [root, user]);
    }
  }

  /** No task of the guest's is left: its file systems are let go. */
  leave(): void {
    if (!this.#entered || this.#ownRoot === undefined) return;
    this.asSentry();
    for (const desk of this.errands.desks) desk.enter(this.#ownRoot.number, this.proc, undefined);
    changeRoot(this.#ownRoot);
    this.#entered = false;
  }

  get hasEntered(): boolean {
    return this.#entered;
  }

  task(call: Trapped): Task | undefined {
    this.#enter(call);
    return this.tasks.get(call.pid);
  }

  /** The caller may be somebody else after this call. */
  becomes(call: Trapped): void {
    if (this.#entered) this.tasks.changes(call.pid);
  }

  /** Where the caller is gone, as nobody. */
  asCaller(call: Trapped): void {
    this.#acting.asCaller(this.task(call)?.identity ?? NOBODY);
  }

  /** With its real ids, for access(2). */
  asRealCaller(call: Trapped): void {
    this.#acting.asCaller(this.task(call)?.real ?? NOBODY);
  }

  /** Without the sentry's own right to look into other tasks. @returns whether that makes a difference. */
  asCallerAlone(call: Trapped): boolean {
    return this.#acting.asCallerAlone(this.task(call)?.identity ?? NOBODY);
  }

  asSentry(): void {
    this.#acting.asSentry();
  }

  guestPidOf(task: number): number | undefined {
    return this.tasks.get(task)?.guestPid;
  }

  /** As `inodeOf` has it; undefined where the task has no such file. */
  inodeAt(task: number, number: number): string | undefined {
    const found = this.#placeholders.find(task, number, () => this.asSentry());
    if (found.kind === "ours") return found.description instanceof HostFile ? inodeOf(found.description.fd) : undefined;
    return found.kind === "foreign" ? this.#placeholders.lastInode : undefined;
  }

  ignores(call: Trapped, signal: number): boolean {
    return this.tasks.isDeaf(call.pid, signal);
  }

  /** Its session, process group and terminal. */
  jobOf(task: number): Job | undefined {
    this.asSentry();
    return this.tasks.job(task);
  }

  /** In the guest's root, as the current identity. */
  openPath(path: string, flags: number): number {
    const AT_FDCWD = -100;
    using s = scratch();
    return kernel.open(AT_FDCWD, s.cstr(path), flags, 0, 0);
  }

  /** Of the caller of the call that is handled. */
  pendingSignals(): bigint {
    return this.tasks.pendingSignals(this.#caller);
  }

  umask(call: Trapped): number {
    return this.tasks.umask(call.pid);
  }

  blockedSignals(call: Trapped): bigint {
    return this.tasks.blockedSignals(call.pid);
  }

  /** What the caller's descriptor is. */
  find(call: Trapped, number: number): Found {
    this.#enter(call);
    return this.#placeholders.find(call.pid, number, () => this.asSentry());
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

  /** What the guest was born with, or the kernel has worked with (lend.ts). */
  #adopt(call: Trapped, number: number): Description | undefined {
    const task = this.task(call);
    this.asSentry();
    const lent = this.#lent.size === 0 ? undefined : this.#findLent(call, number);
    if (lent !== undefined) {
      using again = this.#placeholders.create(lent);
      call.replaceDescriptor(again, number, this.isClosedOnExec(call, number));
      return lent;
    }
    const copy = task === undefined ? -ESRCH : kernel.copyDescriptor(task.pidfd.number, number);
    if (copy < 0) return undefined;
    const fd = new Fd(copy);
    const desk = this.volumes.of(copy);
    const mode = desk === undefined ? statAt(fd).mode : modeOf(copy);
    const type = mode & S_IFMT;
    const flags = kernel.getFlags(copy);
    const isFile = (type === S_IFREG || type === S_IFDIR) && (desk !== undefined || fileSystemMagic(copy) !== PID_FS_MAGIC);
    const description = isFile ? new (isMemoryFile(copy) ? MemoryFile : HostFile)(fd, flags, mode) : type === S_IFSOCK ? adoptSocket(this, fd, flags) : ((type === 0 ? adoptSignals(this, fd, flags) : undefined) ?? this.stream(fd, flags, mode));
    if (description instanceof HostFile) {
      description.opener = task?.leader;
      description.desk = desk;
    }
    using given = this.#placeholders.create(description);
    call.replaceDescriptor(given, number, this.isClosedOnExec(call, number));
    return description;
  }

  stream(fd: Fd, flags: number, mode: number): HostStream {
    const stream = new HostStream(fd, flags, mode, this.epoll);
    this.addStream(stream);
    return stream;
  }

  /** The kernel will tell of its readiness. */
  addStream(stream: HostStream): void {
    this.#streams.set(stream.fd.number, stream);
  }

  /** Has the kernel tell of each change of a descriptor of the description's, whether anybody waits for it or not. */
  follow(fd: Fd, description: Description): void {
    this.epoll.add(fd, EDGES);
    this.#streams.set(fd.number, description);
  }

  unfollow(fd: Fd): void {
    this.epoll.remove(fd);
    this.#streams.delete(fd.number);
  }

  /** A copy of one of the caller's. @returns the negative errno. */
  copyDescriptor(call: Trapped, number: number): number {
    const task = this.task(call);
    this.asSentry();
    return task === undefined ? -ESRCH : kernel.copyDescriptor(task.pidfd.number, number);
  }

  /** Who the caller is to those who get messages of it: its process. */
  credentials(call: Trapped): Credentials {
    const task = this.task(call);
    const { uid, gid } = task?.identity ?? NOBODY;
    return { pid: (task === undefined ? undefined : this.tasks.get(task.leader)?.guestPid) ?? 0, uid, gid };
  }

  /** Whether the caller may say that it is that one. @returns 0 or -EPERM. Source: Linux net/core/scm.c, scm_check_creds. */
  mayClaim(call: Trapped, claimed: Credentials): number {
    const own = this.credentials(call);
    const can = (capability: number) => ((this.task(call)?.identity.capabilities ?? 0n) & (1n << BigInt(capability))) !== 0n;
    const isOwn = (claimed.pid === own.pid || can(CAP.sysAdmin)) && (claimed.uid === own.uid || can(CAP.setuid)) && (claimed.gid === own.gid || can(CAP.setgid));
    return isOwn ? 0 : -EPERM;
  }

  /** What a clock of the guest's is ahead of the host's, in nanoseconds. Source: time_namespaces(7). */
  clockOffset(clock: "monotonic" | "boottime"): bigint {
    const [, seconds = "0", nanoseconds = "0"] = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(\\d+)$`, "m").exec(this.#offsets) ?? [];
    return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
  }

  /** Source: proc_pid_fdinfo(5). */
  isClosedOnExec(call: Trapped, number: number): boolean {
    try {
      this.asSentry();
      using info = openAt(this.proc, `${call.pid}/fdinfo/${number}`, 0);
      const flags = /^flags:\t(\d+)$/m.exec(Buffer.from(read(info, 512)).toString("latin1"))?.[1] ?? "0";
      return (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0;
    } catch (error) {
      // Who may not be looked into, its program being unreadable, leaves nothing to what it executes.
      if (isErrno(error, EACCES)) return true;
      if (isErrno(error, ENOENT, ESRCH)) return false;
      throw error;
    }
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
    const copy = number < 0 ? number : this.copyDescriptor(call, number);
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
  #place(description: Description): Fd | undefined {
    madeBy(undefined);
    try {
      return this.#placeholders.create(description);
    } catch (error) {
      if (isErrno(error, EMFILE)) {
        if (!this.#placeholders.has(description)) description.close();
        return undefined;
      }
      throw error;
    }
  }

  nextInode(): number {
    return this.#inode++;
  }

  /** The call waits until the description may be ready, unless it does not want to. */
  wait(call: Trapped, file: Description, events: number): number {
    if (file.nonBlocking) return -EAGAIN;
    return this.waitFor(call, [file], events, Infinity);
  }

  /** What the call has given `waitFor` when it was handled before. */
  get held(): Held | undefined {
    return this.#held;
  }

  /** @param timeout milliseconds, from when the call was first handled. */
  waitFor(call: Trapped, files: readonly Description[], events: number, timeout: number, held?: Held): number {
    this.waiting.add(call, files, events, this.#deadline ?? now() + timeout, held);
    return WAITS;
  }

  /** The call is made again after so many milliseconds. */
  retryIn(call: Trapped, milliseconds: number): number {
    this.waiting.add(call, [], 0, now() + milliseconds);
    return WAITS;
  }

  /** Whether the call has waited for as long as it wanted to. */
  get isOver(): boolean {
    return this.#deadline !== undefined && this.#deadline <= now();
  }

  /** What is to be done where the caller does not learn of the result: it has been interrupted, and the call will be made again. @returns `result`. */
  undoable(result: number, undo: () => void): number {
    this.#undo = undo;
    return result;
  }

  /**
   * Answers with the errno, and then sends the signal: before, it would end the wait for the answer, and the call might be made again. Whom it ends gets it
   * before, so that it does nothing more.
   */
  failWith(call: Trapped, errno: number, signal: number): number {
    const task = this.task(call);
    const send = () => task !== undefined && killThread(task.leader, call.pid, signal);
    this.asSentry();
    const ends = this.tasks.isEndedBy(call.pid, signal);
    if (ends) send();
    call.answer(-errno);
    if (!ends) send();
    return ANSWERED;
  }

  brokenPipe(call: Trapped): number {
    const SIGPIPE = 13;
    return this.failWith(call, EPIPE, SIGPIPE);
  }

  /** The caller's working directory; to be closed. */
  openDirectory(call: Trapped): number {
    using s = scratch();
    return kernel.open(this.proc.number, s.cstr(`${call.pid}/cwd`), O_PATH | O_DIRECTORY, 0, 0);
  }

  /** Its path. @returns its length, or the negative errno. */
  directoryOf(call: Trapped, into: Block): number {
    this.#enter(call);
    return this.#readProcLink(`${call.pid}/cwd`, into);
  }

  /** The path of a file of ours. */
  nameOf({ fd }: { readonly fd: Pick<Fd, "number"> }, into: Block): number {
    return this.#readProcLink(`self/fd/${fd.number}`, into);
  }

  /** As whoever we are, since becoming somebody else takes three calls; with our own rights where that is refused. */
  #readProcLink(path: string, into: Block): number {
    using s = scratch();
    const address = s.cstr(path);
    const result = kernel.readLink(this.proc.number, address, into.address, 4096);
    if (result !== -EACCES) return result;
    this.asSentry();
    return kernel.readLink(this.proc.number, address, into.address, 4096);
  }

  /** A path of an open file of ours, for calls that take no descriptor: from the working directory, which is our own procfs. */
  pathOf(fd: number): Addr {
    const text = `self/fd/${fd}\0`;
    for (let i = 0; i < text.length; i++) this.#path.bytes[i] = text.charCodeAt(i);
    return this.#path.address;
  }

  /** Another open file of the same inode, as the current identity. */
  reopen(fd: FdLike & Fd, flags: number): number {
    using s = scratch();
    return kernel.open(this.proc.number, s.cstr(`self/fd/${fd.number}`), flags, 0, 0);
  }

  /** Another name for a file of ours, as the current identity. */
  linkOpened({ fd }: HostFile, dir: number, path: Addr): number {
    const AT_SYMLINK_FOLLOW = 0x400;
    using s = scratch();
    return kernel.link(this.proc.number, s.cstr(`self/fd/${fd.number}`), dir, path, AT_SYMLINK_FOLLOW);
  }

  /** Whether a file of ours lies in a procfs. */
  isProc(fd: number, device: number): boolean {
    let known = this.#procDevices.get(device);
    if (known === undefined && this.volumes.of(fd) !== undefined) return false;
    if (known === undefined) this.#procDevices.set(device, (known = fileSystemMagic(fd) === PROC_SUPER_MAGIC));
    return known;
  }
}
