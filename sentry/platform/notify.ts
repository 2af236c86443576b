/** Seccomp user notification. Source: seccomp_unotify(2). */
import type { Fd } from "../../linux/fd.ts";
import { PollSet } from "../../linux/poll-set.ts";
import { Listener } from "../../linux/seccomp-notify.ts";
import { CONTINUE, type Handle, type Platform, type Source } from "./platform.ts";

class NotifySource implements Source {
  readonly fd: Fd;
  readonly #listener: Listener;

  constructor(fd: Fd) {
    this.fd = fd;
    this.#listener = new Listener(fd);
    this.#listener.useSyncWakeUp();
  }

  /** The last task's end shows as a hang-up, not here. */
  serve(handle: Handle): boolean {
    const listener = this.#listener;
    // ENOENT: the caller was killed since poll(2) told of it.
    if (listener.receive() < 0) return true;
    const result = handle(listener);
    if (result === CONTINUE) listener.letRun();
    else listener.answer(result);
    return true;
  }
}

export const notify: Platform = { name: "notify", attach: (fd) => new NotifySource(fd), waitSet: (capacity) => new PollSet(capacity) };
