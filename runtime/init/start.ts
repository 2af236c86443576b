/**
 * Waiting for `start`. init listens on a socket in the state directory; whoever may connect to it may start the container. The peer hears
 * "executing" and then the end of the connection, which is close-on-exec: both together mean that the program runs.
 */
import type { Fd } from "../../linux/fd.ts";
import { POLLIN } from "../../linux/abi/poll.ts";
import { poll } from "../../linux/poll.ts";
import { exitNow } from "../../linux/process.ts";
import { acceptUnix, receiveMessage } from "../../linux/socket.ts";

/**
 * Blocks until somebody asks for the start, and returns the connection to answer on. A peer that leaves without a word is ignored.
 * @param runtime a pidfd, whose end is ours while we wait.
 */
export function awaitStart(listener: Fd, runtime?: Fd): Fd {
  for (;;) {
    if (runtime !== undefined && !comesFirst(listener, runtime)) exitNow(FAILED);
    const connection = acceptUnix(listener);
    if (receiveMessage(connection) !== undefined) return connection;
    connection.close();
  }
}

const FAILED = 1;

function comesFirst(listener: Fd, runtime: Fd): boolean {
  return poll([listener, runtime].map((fd) => ({ fd, events: POLLIN })), Infinity)[0] !== 0;
}
