/** Descriptors of which many are waited for and few are ready. Source: epoll(7). */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const EPOLL_CLOEXEC = 0o2000000;
const CTL = { add: 1, remove: 2, change: 3 } as const;
/** struct epoll_event, which is packed on x86-64: events, then what `add` was told. */
const EVENT_SIZE = 12;
const BATCH = 64;

export class Epoll {
  readonly fd = new Fd(check(syscall(SYS.epoll_create1, EPOLL_CLOEXEC), "epoll_create1"));
  readonly #one = permanentBlock(EVENT_SIZE);
  readonly #events = permanentBlock(BATCH * EVENT_SIZE);

  /** Waits for `events` (`POLL*`; 0 for hang-up and error only) of the descriptor, by whose number `wait` tells of it. @throws SysError */
  add(fd: FdLike, events: number): void {
    this.#control(CTL.add, fd, events);
  }

  /** @throws SysError */
  change(fd: FdLike, events: number): void {
    this.#control(CTL.change, fd, events);
  }

  /** @throws SysError */
  remove(fd: FdLike): void {
    this.#control(CTL.remove, fd, 0);
  }

  #control(operation: number, fd: FdLike, events: number): void {
    const { view, address } = this.#one;
    view.setUint32(0, events, true);
    view.setUint32(4, fdNumber(fd), true);
    check(syscall(SYS.epoll_ctl, this.fd.number, operation, fdNumber(fd), address), "epoll_ctl");
  }

  /** What is ready now, without waiting: numbers of descriptors, with events. Some of it, where it is much. */
  ready(): { readonly fd: number; readonly events: number }[] {
    const count = Math.max(syscall(SYS.epoll_wait, this.fd.number, this.#events.address, BATCH, 0), 0);
    const { view } = this.#events;
    return Array.from({ length: count }, (_, i) => ({ fd: view.getUint32(i * EVENT_SIZE + 4, true), events: view.getUint32(i * EVENT_SIZE, true) }));
  }
}
