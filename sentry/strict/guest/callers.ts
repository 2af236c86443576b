/** Who makes a call: as whom the sentry then asks the kernel, what the caller may claim to be, and the signals that it gets. */
import { capabilityMask, type CapabilityName } from "../../../linux/abi/capability.ts";
import { EPERM, EPIPE } from "../../../linux/abi/errno.ts";
import { killThread } from "../../../linux/process.ts";
import { NOBODY, type Acting } from "../tasks/acting.ts";
import type { Surroundings } from "../tasks/surroundings.ts";
import type { Credentials, GuestTasks, Job, Task } from "../tasks/tasks.ts";
import { ANSWERED, type Trapped } from "../trapped.ts";
import type { Namespaces } from "./namespaces.ts";

const can = (task: Task | undefined, capability: CapabilityName): boolean => ((task?.identity.capabilities ?? 0n) & capabilityMask([capability])) !== 0n;

export class Callers {
  readonly #namespaces: Namespaces;
  readonly #tasks: GuestTasks;
  readonly #surroundings: Surroundings;
  readonly #acting: Acting;
  /** Whose call is handled. */
  #current = 0;

  constructor(namespaces: Namespaces, tasks: GuestTasks, surroundings: Surroundings, acting: Acting) {
    this.#namespaces = namespaces;
    this.#tasks = tasks;
    this.#surroundings = surroundings;
    this.#acting = acting;
  }

  /** A call is about to be handled. */
  begin(call: Pick<Trapped, "pid">): void {
    this.#current = call.pid;
  }

  /** @returns undefined where it has ended. */
  task(call: Trapped): Task | undefined {
    this.#namespaces.enter(call.pid);
    return this.#tasks.get(call.pid);
  }

  /** The caller may be somebody else after this call. */
  becomes(call: Trapped): void {
    if (this.#namespaces.hasEntered) this.#tasks.changes(call.pid);
  }

  /** Its working directory or its mask of modes may be others after this call. */
  moves(call: Trapped): void {
    if (this.#namespaces.hasEntered) this.#surroundings.changes(call.pid);
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

  /** Session, process group and terminal of a task. */
  jobOf(task: number): Job | undefined {
    this.asSentry();
    return this.#tasks.job(task);
  }

  /** Of the caller of the call that is handled. */
  pendingSignals(): bigint {
    return this.#tasks.pendingSignals(this.#current);
  }

  /** Source: chroot(2). */
  mayChangeRoot(call: Trapped): boolean {
    return can(this.task(call), "CAP_SYS_CHROOT");
  }

  /** Who the caller is to those who get messages of it: its process. */
  credentials(call: Trapped): Credentials {
    const task = this.task(call);
    const { uid, gid } = task?.identity ?? NOBODY;
    return { pid: (task === undefined ? undefined : this.#tasks.get(task.leader)?.guestPid) ?? 0, uid, gid };
  }

  /** Whether the caller may say that it is that one. @returns 0 or -EPERM. Source: Linux net/core/scm.c, scm_check_creds. */
  mayClaim(call: Trapped, claimed: Credentials): number {
    const own = this.credentials(call);
    const task = this.task(call);
    const isOwn = (claimed.pid === own.pid || can(task, "CAP_SYS_ADMIN")) && (claimed.uid === own.uid || can(task, "CAP_SETUID")) && (claimed.gid === own.gid || can(task, "CAP_SETGID"));
    return isOwn ? 0 : -EPERM;
  }

  /**
   * Answers with the errno, and then sends the signal: before, it would end the wait for the answer, and the call might be made again. Whom it ends gets it
   * before, so that it does nothing more.
   */
  failWith(call: Trapped, errno: number, signal: number): number {
    const task = this.task(call);
    const send = () => task !== undefined && killThread(task.leader, call.pid, signal);
    this.asSentry();
    const ends = this.#tasks.isEndedBy(call.pid, signal);
    if (ends) send();
    call.answer(-errno);
    if (!ends) send();
    return ANSWERED;
  }

  brokenPipe(call: Trapped): number {
    const SIGPIPE = 13;
    return this.failWith(call, EPIPE, SIGPIPE);
  }
}
