/** A container of the sandbox, as its sentry knows it. */
import { SIGNALS } from "../linux/abi/signal.ts";
import type { Fd } from "../linux/fd.ts";
import { pidfdSendSignal } from "../linux/process.ts";
import { dispatcher } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";
import type { Handle } from "./platform/platform.ts";
import type { Meter, Watchdog } from "./watchdog.ts";

export interface ResidentOptions {
  readonly kernel: Kernel;
  readonly observer: Observer;
  /** A listening socket, at which processes that enter the container later hand in their filters. */
  readonly door: Fd;
  /** What is open for as long as the container lives. */
  readonly held: readonly Fd[];
}

/** Counts, and looks after the gofers (watchdog.ts). */
export interface Observer {
  readonly meter: Meter;
  readonly watchdog: Watchdog;
  /** In the order in which their pidfds come. */
  readonly gofers: readonly WatchedGofer[];
  complain(message: string): void;
  /** The container has ended in good order. */
  done(): void;
}

export interface WatchedGofer {
  /** What it serves, for whoever reads that it has ended. */
  readonly serves: string;
  /** Whether it has ended because the guest's mounts are gone. */
  isDone(): boolean;
}

export class Resident {
  readonly observer: Observer;
  readonly door: Fd;
  readonly handle: Handle;
  readonly #held: readonly Fd[];
  #init: Fd | undefined;
  #gofers = 0;
  #failed = false;

  /** @param more handlers (`dispatcher`). */
  constructor({ kernel, observer, door, held }: ResidentOptions, more?: Parameters<typeof dispatcher>[2]) {
    this.observer = observer;
    this.door = door;
    this.handle = dispatcher(kernel, observer.meter, more);
    this.#held = held;
  }

  /** @param pidfd of the process that the container's others end with: their pid namespace's init. */
  hasInit(pidfd: Fd): void {
    this.#init = pidfd;
    if (this.#failed) this.#killInit();
  }

  nextGofer(): WatchedGofer | undefined {
    return this.observer.gofers[this.#gofers++];
  }

  /** Whether a gofer has been told of: without any, a container lasts as long as somebody may still bring one, or traps. */
  get hasGofers(): boolean {
    return this.#gofers > 0;
  }

  /** Ends the container, and with it those that share its processes. */
  fail(why: string): void {
    this.observer.complain(`sentry: ${why}`);
    this.#failed = true;
    this.#killInit();
  }

  #killInit(): void {
    if (this.#init !== undefined) pidfdSendSignal(this.#init, SIGNALS.SIGKILL);
  }

  /** After its last process. */
  end(): void {
    if (!this.#failed) this.observer.done();
    this.#init?.close();
    for (const fd of this.#held) fd.close();
  }
}
