/** Descriptions whose readiness the kernel tells of: by the sentry's epoll it names a descriptor, and this the description. */
import { POLLIN, POLLOUT, POLLPRI, POLLRDHUP } from "../../../linux/abi/poll.ts";
import type { Epoll } from "../../../linux/epoll.ts";
import type { Fd } from "../../../linux/fd.ts";
import type { Description } from "./description.ts";
import { HostStream } from "./files.ts";

const EPOLLET = 0x8000_0000;
const EDGES = (POLLIN | POLLOUT | POLLPRI | POLLRDHUP | EPOLLET) >>> 0;

export class Streams {
  readonly #epoll: Epoll;
  readonly #byFd = new Map<number, Description>();

  constructor(epoll: Epoll) {
    this.#epoll = epoll;
  }

  make(fd: Fd, flags: number, mode: number): HostStream {
    return this.add(new HostStream(fd, flags, mode, this.#epoll));
  }

  /** The kernel is asked while somebody waits (HostStream.watch). */
  add<T extends HostStream>(stream: T): T {
    this.#byFd.set(stream.fd.number, stream);
    return stream;
  }

  /** Has the kernel tell of each change of a descriptor of the description's, whether anybody waits for it or not. */
  follow(fd: Fd, description: Description): void {
    this.#epoll.add(fd, EDGES);
    this.#byFd.set(fd.number, description);
  }

  unfollow(fd: Fd): void {
    this.#epoll.remove(fd);
    this.#byFd.delete(fd.number);
  }

  /** It is about to be closed. */
  forget({ fd }: HostStream): void {
    this.#byFd.delete(fd.number);
  }

  of(fd: number): Description | undefined {
    return this.#byFd.get(fd);
  }
}
