/** A program that takes a container's output: it reads 3 (stdout) and 4 (stderr), and closes 5 when it is ready. Source: containerd, runtime/v2/logging. */
import { Socket } from "node:net";
import { messageOf } from "../../linux/errors.ts";
import { createExecStub, prepareExec } from "../../linux/exec.unsafe.ts";
import type { Fd } from "../../linux/fd.ts";
import { closeOnExecFrom, duplicate, duplicateOnto, open, pipe, setCloseOnExec } from "../../linux/file.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { O_RDWR } from "../../linux/abi/fcntl.ts";
import type { Destination } from "./destination.ts";

export interface Logger {
  readonly stdout: Fd;
  readonly stderr: Fd;
}

const NOT_EXECUTED = 127;

/** Resolves when the logger is ready. @returns the writing ends. @throws Error where it ends before it is. */
export async function startLogger({ path, args }: Extract<Destination, { kind: "binary" }>, id: string, namespace: string): Promise<Logger> {
  const [out, err, ready] = [pipe(), pipe(), pipe()];
  const env = [`CONTAINER_ID=${id}`, `CONTAINER_NAMESPACE=${namespace}`, `PATH=${process.env["PATH"] ?? ""}`];
  fork(() => execute([path, ...args], env, [out[0], err[0], ready[1]]));
  for (const fd of [out[0], err[0], ready[1]]) fd.close();
  await firstNews(ready[0]);
  return { stdout: out[1], stderr: err[1] };
}

function execute(argv: readonly [string, ...string[]], env: readonly string[], fds: readonly Fd[]): number {
  try {
    const become = prepareExec(createExecStub(), argv[0], argv, env);
    using none = open("/dev/null", O_RDWR);
    // Two steps: a source may have a number that is a target.
    const high = fds.map((fd) => duplicate(duplicate(fd)));
    for (const number of [0, 1, 2]) duplicateOnto(none, number);
    high.forEach((fd, i) => duplicateOnto(fd, 3 + i));
    for (const number of [0, 1, 2, 3, 4, 5]) setCloseOnExec(number, false);
    closeOnExecFrom(6);
    return become();
  } catch (error) {
    return messageOf(error) === "" ? 1 : NOT_EXECUTED;
  }
}

/** A byte, or the end. */
async function firstNews(fd: Fd): Promise<void> {
  const socket = new Socket({ fd: fd.release(), readable: true, writable: false });
  await new Promise<void>((resolve) => {
    socket.once("data", () => resolve());
    socket.once("close", () => resolve());
    socket.once("error", () => resolve());
  });
  socket.destroy();
}
