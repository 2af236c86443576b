/** Files of which the kernel always says that something is ready, for events that are to be told of in its name (calls/epoll-wait.ts). Source: Linux net/unix/af_unix.c, unix_poll. */
import { POLLERR, POLLHUP } from "../../../linux/abi/poll.ts";
import { SOCK_NONBLOCK, SOCK_STREAM } from "../../../linux/abi/socket.ts";
import type { Fd } from "../../../linux/fd.ts";
import { writeAll } from "../../../linux/file.ts";
import { shutdownWrite, socketPair } from "../../../linux/socket.ts";

interface Files {
  /** Its other end, which is kept, sends no more. */
  readonly open: Fd;
  readonly peer: Fd;
  readonly hungUp: Fd;
  readonly failed: Fd;
}

let files: Files | undefined;

/** @throws SysError EMFILE */
function make(): Files {
  using made = new DisposableStack();
  const pair = () => socketPair(SOCK_STREAM | SOCK_NONBLOCK).map((fd) => made.use(fd)) as [Fd, Fd];
  const [[open, peer], [hungUp, gone], [failed, failing]] = [pair(), pair(), pair()];
  shutdownWrite(peer);
  gone.close();
  // An end that is closed before it has read all is a failure.
  writeAll(failed, "+");
  failing.close();
  made.move();
  return { open, peer, hungUp, failed };
}

/** To be called before the first is needed. @throws SysError EMFILE */
export function makeAlwaysReady(): void {
  files ??= make();
}

/** One that is ready for these events (POLL*) and more, but neither hung up nor failed where that is not asked for. */
export function alwaysReady(events: number): Fd | undefined {
  if ((events & POLLERR) !== 0) return files?.failed;
  return (events & POLLHUP) === 0 ? files?.open : files?.hungUp;
}
