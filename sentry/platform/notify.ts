/** Seccomp user notification. Source: seccomp_unotify(2). */
import type { Fd } from "../../linux/fd.ts";
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

  serve(handle: Handle): void {
    const listener = this.#listener;
    // ENOENT: the caller was killed since poll(2) told of it.
    if (listener.receive() < 0) return;
    const result = handle(listener);
    if (result === CONTINUE) listener.letRun();
    else listener.answer(result);
  }
}

export const notify: Platform = { name: "notify", attach: (fd) => new NotifySource(fd) };
