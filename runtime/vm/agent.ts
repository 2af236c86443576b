/**
 * The agent: this runtime in namespace mode, in the guest, told by the host what to run. It listens, and forks a task (task.ts) for each
 * connection; the tasks know nothing of each other but what is in the guest's state directory.
 */
import * as fcntl from "../../linux/abi/fcntl.ts";
import type { Fd } from "../../linux/fd.ts";
import { duplicateOnto, open } from "../../linux/file.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { reapChildren } from "../../linux/process.ts";
import { acceptUnix } from "../../linux/socket.ts";
import type { Logger } from "../log.ts";
import { serveTask } from "./task.ts";

/** Serves for ever. @param root state directory for the guest's containers. */
export function runAgent(listener: Fd, root: string, log: Logger): never {
  for (;;) {
    const connection = acceptUnix(listener);
    reapChildren();
    fork(() => {
      listener.close();
      using nothing = open("/dev/null", fcntl.O_RDWR);
      for (const stream of [0, 1]) duplicateOnto(nothing, stream);
      return serveTask(connection, root, log);
    });
    connection.close();
  }
}
