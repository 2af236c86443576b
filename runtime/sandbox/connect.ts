import * as fcntl from "../../linux/abi/fcntl.ts";
import { inStep } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { connectUnix, SOCK_SEQPACKET } from "../../linux/socket.ts";
import type { Container } from "../container/store.ts";

/** To the container's door (sentry/messages.ts). @throws SysError */
export function connectToSentry({ directory }: Pick<Container, "directory">): Fd {
  // By way of the directory's descriptor: the path itself may be longer than a socket address holds.
  using path = open(directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
  return inStep("connect to the sentry", () => connectUnix(`${path.procPath}/sentry.sock`, SOCK_SEQPACKET));
}
