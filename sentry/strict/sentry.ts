/**
 * The sentry's part under the policy `strict`: the guest's open files are its objects, its paths are looked up by it. See decision 0041.
 *
 *   trapped call --> handler --> a result: the caller goes on
 *                            --> WAITS: kept (objects/waiting.ts) until a description is ready, and handled again
 *                            --> CONTINUE: the kernel does it
 */
import { ENOENT } from "../../linux/abi/errno.ts";
import { POLLIN } from "../../linux/abi/poll.ts";
import { Epoll } from "../../linux/epoll.ts";
import { SysError } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { PollSet } from "../../linux/poll-set.ts";
import { Listener } from "../../linux/seccomp-notify.ts";
import { CONTINUE, type Call, type Handle, type Platform, type Source } from "../platform/platform.ts";
import { adopt } from "./adopt.ts";
import { strictSentryFilter } from "./compiled.ts";
import { Callers } from "./guest/callers.ts";
import { Descriptors } from "./guest/descriptors.ts";
import { Locks } from "./guest/locks.ts";
import { Namespaces, type Network } from "./guest/namespaces.ts";
import { Placeholders } from "./guest/placeholders.ts";
import { Procfs } from "./guest/procfs.ts";
import { strictHandlers } from "./handlers.ts";
import type { Description } from "./objects/description.ts";
import { HostFile, HostStream } from "./objects/files.ts";
import { Streams } from "./objects/streams.ts";
import { WaitingCalls } from "./objects/waiting.ts";
import type { Handler, Strict } from "./strict.ts";
import { Acting } from "./tasks/acting.ts";
import { Surroundings } from "./tasks/surroundings.ts";
import { GuestTasks } from "./tasks/tasks.ts";
import { ANSWERED, WAITS, type Trapped } from "./trapped.ts";
import { Errands, SENT, type Desk } from "./volumes/errands.ts";
import { Volumes } from "./volumes/volumes.ts";

export class StrictSentry implements Platform, Strict {
  readonly name = "notify";
  readonly epoll = new Epoll();
  readonly waiting = new WaitingCalls();
  readonly streams = new Streams(this.epoll);
  readonly tasks: GuestTasks;
  readonly surroundings: Surroundings;
  readonly volumes: Volumes;
  readonly namespaces: Namespaces;
  readonly callers: Callers;
  readonly procfs: Procfs;
  readonly descriptors: Descriptors;
  readonly locks: Locks;
  readonly #errands: Errands;
  readonly #placeholders: Placeholders;
  #undo: (() => void) | undefined;

  /**
   * Preconditions: the sentry's jail, but for its filter. @param proc the procfs of the sentry's own pid namespace. @param network how the sentry comes to the guest's
   * network namespace. @param volumes where they are, by the gofer that serves them.
   */
  constructor(proc: Fd, network: Network = "joined", volumes: readonly (readonly string[])[] = []) {
    const { epoll, waiting } = this;
    const acting = new Acting();
    const errands = (this.#errands = new Errands({ proc, acting, wake: (trip) => waiting.wakeHolder(trip.pid, trip) }));
    this.volumes = new Volumes(volumes.map((paths) => [this.#openDesk(), paths] as const));
    const placeholders = (this.#placeholders = new Placeholders(proc, epoll));
    this.tasks = new GuestTasks(proc, epoll);
    const surroundings = (this.surroundings = new Surroundings(proc, this.tasks));
    const namespaces = (this.namespaces = new Namespaces({ proc, network, acting, errands, tasks: this.tasks, surroundings, volumes: this.volumes }));
    const callers = (this.callers = new Callers(namespaces, this.tasks, surroundings, acting));
    const procfs = (this.procfs = new Procfs(proc, namespaces, callers, this.volumes));
    this.descriptors = new Descriptors({ placeholders, namespaces, callers, procfs, waiting, adopt: (fd, opener) => adopt(this, fd, opener) });
    this.locks = new Locks(this);
    epoll.add(waiting.timer, 1);
  }

  #openDesk(): Desk {
    const desk = this.#errands.add();
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
      this.namespaces.roots.follow(call.pid);
      return handler(call, this);
    } catch (error) {
      if (error === SENT) return this.waiting.waitForHeld(call, this.#errands.end(true));
      if (error instanceof SysError && error.errno > 0) return -error.errno;
      throw error;
    }
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
    this.surroundings.calls(call.pid);
    this.waiting.begin({});
    this.descriptors.takeBackLent(call);
    this.#answer(call, handle);
    this.resume(handle);
  }

  /** Makes what has been woken again. */
  resume(handle: Handle): void {
    for (let waiting = this.waiting.take(); waiting !== undefined; waiting = this.waiting.take()) {
      waiting.call.resume(waiting.saved);
      if (!waiting.call.isWaiting()) {
        waiting.held?.abandon();
        continue;
      }
      this.waiting.begin(waiting);
      this.#answer(waiting.call, handle);
    }
    if (this.waiting.mirroredWoken.size > 0) this.descriptors.markMirrored();
    for (const wait of this.waiting.settling) wait.settle();
    this.waiting.settling.clear();
  }

  #answer(call: Trapped, handle: Handle): void {
    this.#undo = undefined;
    this.callers.begin(call);
    this.#errands.begin(call, this.waiting.held);
    const result = handle(call);
    this.#errands.end(false);
    // A listener's is left by leaving it alone.
    if (result === WAITS && !(call instanceof Listener)) call.leave();
    if (result === WAITS || result === ANSWERED) return;
    const delivered = result === CONTINUE ? call.letRun() : call.answer(result);
    if (delivered === -ENOENT) this.#takeBack();
  }

  #takeBack(): void {
    this.#undo?.();
  }

  undoable(result: number, undo: () => void): number {
    this.#undo = undo;
    return result;
  }

  /** Something that was waited for with `epoll` has happened. */
  happened(handle: Handle): void {
    this.noticeClosed();
    this.resume(handle);
  }

  noticeClosed(): void {
    for (const { fd } of this.epoll.ready()) this.#happenedTo(fd);
  }

  #happenedTo(fd: number): void {
    if (fd === this.waiting.timer.number) return this.waiting.expire();
    if (this.#placeholders.isOurs(fd)) return this.#close(this.#placeholders.ended(fd));
    const desk = this.#errands.desks.find(({ runner }) => runner.done.number === fd);
    if (desk !== undefined) return desk.finished();
    if (this.locks.ended(fd)) return;
    const task = this.tasks.ended(fd);
    if (task !== undefined) {
      this.descriptors.forget(task);
      this.surroundings.forget(task);
      this.waiting.forget(task);
      return this.#errands.forget(task);
    }
    const stream = this.streams.of(fd);
    if (stream !== undefined) this.waiting.wake(stream);
  }

  #close(file: Description | undefined): void {
    if (file === undefined) return;
    this.waiting.closed(file);
    if (file instanceof HostStream) this.streams.forget(file);
    if (file instanceof HostFile) this.locks.closed(file);
    if (file instanceof HostFile && !(file instanceof HostStream)) this.#errands.close(file.fd, file.desk);
    else file.close();
  }
}
