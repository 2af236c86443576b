import * as fcntl from "../../linux/abi/fcntl.ts";
import { ECONNREFUSED, ENOENT } from "../../linux/abi/errno.ts";
import { isErrno } from "../../linux/errors.ts";
import { open } from "../../linux/file.ts";
import { connectUnix, sendMessage, SOCK_SEQPACKET } from "../../linux/socket.ts";
import { runHooksWarning } from "../hooks.ts";
import { fromWire, receive } from "../init/protocol.ts";
import type { Logger } from "../log.ts";
import { ociState, statusOf } from "./status.ts";
import { ContainerError, type Container } from "./store.ts";

/** Lets a created container's program run, and returns when it does. @throws ContainerError, or what kept the program from running. */
export function startContainer(container: Container, log: Logger): void {
  const status = statusOf(container);
  if (status !== "created") throw new ContainerError(`cannot start a container that is ${status}: ${container.record.id}`);
  using socket = connectToInit(container);
  sendMessage(socket, Buffer.from("start"));
  let executing = false;
  for (let message = receive(socket); message !== undefined; message = receive(socket)) {
    if (message.kind === "failed") throw fromWire(message.error);
    executing ||= message.kind === "executing";
  }
  if (!executing) throw new ContainerError(`container ${container.record.id} ended before its program ran`);
  runHooksWarning(container.record.hooks.poststart, JSON.stringify(ociState(container, "running", container.record.pid)), (message) => log.warn(message));
}

function connectToInit(container: Container) {
  using directory = open(container.directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
  try {
    return connectUnix(`${directory.procPath}/start.sock`, SOCK_SEQPACKET);
  } catch (error) {
    if (!isErrno(error, ECONNREFUSED, ENOENT)) throw error;
    throw new ContainerError(`container ${container.record.id} has been started by somebody else`, { cause: error });
  }
}
