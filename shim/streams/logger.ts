/** A program that takes a container's output: it reads 3 (stdout) and 4 (stderr), and closes 5 when it is ready. Source: containerd, runtime/v2/logging. */
import { accessSync, constants } from "node:fs";
import { Socket } from "node:net";
import { messageOf } from "../../linux/errors.ts";
import { createExecStub, prepareExec } from "../../linux/exec.unsafe.ts";
import type { Fd } from "../../linux/fd.ts";
import { closeOnExecFrom, duplicate, duplicateOnto, open, pipe, setCloseOnExec } from "../../linux/file.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { O_RDWR } from "../../linux/abi/fcntl.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { pidfdOpen, pidfdSendSignal } from "../../linux/process.ts";
import type { Destination } from "./destination.ts";

const LOOK_MS = 20;

export class Logger {
  /** The writing ends, whoever takes them. */
  readonly stdout: Fd;
  readonly stderr: Fd;
  readonly #pidfd: Fd;
  #watching: Promise<void> | undefined;
  #gone = false;

  constructor(stdout: Fd, stderr: Fd, pidfd: Fd) {
    this.stdout = stdout;
    this.stderr = stderr;
    this.#pidfd = pidfd;
  }

  /** Resolves when it has ended, which it does when its streams do. */
  ended(): Promise<void> {
    return (this.#watching ??= this.#watch());
  }

  async #watch(): Promise<void> {
    // What has ended is there until the shim has reaped it.
    while (pidfdSendSignal(this.#pidfd, 0)) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    this.#gone = true;
    this.#pidfd.close();
  }

  /** Closes what nobody has taken. */
  closeEnds(): void {
    this.stdout.close();
    this.stderr.close();
  }

  /** One that has not ended with its streams would stay for ever. Source: containerd, pkg/process/io.go, binaryIO.cancel. */
  end(): void {
    this.closeEnds();
    if (!this.#gone) pidfdSendSignal(this.#pidfd, SIGNALS.SIGKILL);
    void this.ended();
  }
}

const NOT_EXECUTED = 127;

/** Resolves when the logger is ready. @throws Error where it cannot be executed. */
export async function startLogger({ path, args }: Extract<Destination, { kind: "binary" }>, id: string, namespace: string): Promise<Logger> {
  accessSync(path, constants.X_OK);
  const [out, err, ready] = [pipe(), pipe(), pipe()];
  const env = [`CONTAINER_ID=${id}`, `CONTAINER_NAMESPACE=${namespace}`, `PATH=${process.env["PATH"] ?? ""}`];
  const pid = fork(() => execute([path, ...args], env, [out[0], err[0], ready[1]]));
  // Not reaped before the event loop goes on.
  const logger = new Logger(out[1], err[1], pidfdOpen(pid));
  for (const fd of [out[0], err[0], ready[1]]) fd.close();
  await firstNews(ready[0]);
  return logger;
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
