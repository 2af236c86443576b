import * as fcntl from "../../linux/abi/fcntl.ts";
import { ECONNREFUSED, ENOENT, EPIPE } from "../../linux/abi/errno.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { inStep, isErrno } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { connectUnix, sendMessage, SOCK_SEQPACKET } from "../../linux/socket.ts";
import { runHooks } from "../hooks.ts";
import { fromWire, receive } from "../init/protocol.ts";
import { killContainer } from "./kill.ts";
import { ociState, statusOf } from "./status.ts";
import { ContainerError, type Container } from "./store.ts";

/** Lets a created container's program run, and returns when it does. @throws ContainerError, or what kept the program from running. */
export function startContainer(container: Container): void {
  const status = statusOf(container);
  if (status !== "created") throw new ContainerError(`cannot start a container that is ${status}: ${container.record.id}`);
  using socket = inStep("connect to init", () => connectToInit(container));
  if (!letRun(socket)) {
    const what = statusOf(container) === "stopped" ? "ended before its program ran" : "has been started by somebody else";
    throw new ContainerError(`container ${container.record.id} ${what}`);
  }
  runPoststart(container);
}

/** @returns false where init, or its listening socket, ended without a word: that is what a second starter sees of the first one's success. */
function letRun(socket: Fd): boolean {
  let executing = false;
  try {
    inStep("message start", () => sendMessage(socket, Buffer.from("start")));
    for (let message = receive(socket); message !== undefined; message = receive(socket)) {
      if (message.kind === "failed") throw fromWire(message.error);
      executing ||= message.kind === "executing";
    }
    return executing;
  } catch (error) {
    if (isErrno(error, EPIPE)) return false;
    throw error;
  }
}

/** "If any poststart hook fails, the runtime MUST generate an error, stop the container" (runtime-spec runtime.md#lifecycle, step 10). */
function runPoststart(container: Container): void {
  try {
    inStep("poststart hooks", () => runHooks(container.record.hooks.poststart, JSON.stringify(ociState(container, "running", container.record.pid))));
  } catch (error) {
    killContainer(container, SIGNALS.SIGKILL, true);
    throw error;
  }
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
