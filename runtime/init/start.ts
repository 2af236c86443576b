/**
 * Waiting for `start`. init listens on a socket in the state directory; whoever may connect to it may start the container. The peer hears
 * "executing" and then the end of the connection, which is close-on-exec: both together mean that the program runs.
 */
import type { Fd } from "../../linux/fd.ts";
import { acceptUnix, receiveMessage } from "../../linux/socket.ts";

/** Blocks until somebody asks for the start, and returns the connection to answer on. A peer that leaves without a word is ignored. */
export function awaitStart(listener: Fd): Fd {
  for (;;) {
    const connection = acceptUnix(listener);
    if (receiveMessage(connection) !== undefined) return connection;
    connection.close();
  }
}
