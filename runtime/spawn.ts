/** Running a program to its end, synchronously: also in a forked child, where Node's child_process has no event loop to live on. */
import { messageOf } from "../linux/errors.ts";
import { SIGNALS } from "../linux/abi/signal.ts";
import { createExecStub, prepareExec } from "../linux/exec.unsafe.ts";
import type { Fd } from "../linux/fd.ts";
import { closeOnExecFrom, duplicateOnto, readAt, rewind, writeAll } from "../linux/file.ts";
import { fork } from "../linux/fork.unsafe.ts";
import { createMemfd } from "../linux/memfd.ts";
import { awaitExit } from "../linux/pidfd.ts";
import { kill, pidfdOpen, waitPid, type ExitStatus } from "../linux/process.ts";

export interface Command {
  readonly path: string;
  /** With argv[0]. */
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly input: string;
  /** Infinity: none. */
  readonly timeoutMs: number;
  /** Runs in the child before execve. */
  readonly prepare?: (() => void) | undefined;
}

export type CommandResult =
  | { readonly kind: "ended"; readonly status: ExitStatus; readonly output: string }
  | { readonly kind: "timed-out" };

const OUTPUT_LIMIT = 4096;
const NOT_EXECUTED = 127;

/**
 * Input and output are files in memory: neither side ever waits for the other, and a process that the program leaves behind keeps nobody
 * waiting either.
 * @returns what it wrote to stdout and stderr, the first 4 KiB.
 */
export function run(command: Command): CommandResult {
  using input = createMemfd("input");
  writeAll(input, command.input);
  rewind(input);
  using output = createMemfd("output");
  const pid = fork(() => execute(command, input, output));
  using pidfd = pidfdOpen(pid);
  const ended = awaitExit(pidfd, command.timeoutMs);
  if (!ended) kill(pid, SIGNALS.SIGKILL);
  const reaped = waitPid(pid);
  if (!ended || reaped === undefined) return { kind: "timed-out" };
  return { kind: "ended", status: reaped.status, output: Buffer.from(readAt(output, 0, OUTPUT_LIMIT)).toString().trim() };
}

function execute(command: Command, input: Fd, output: Fd): number {
  try {
    const become = prepareExec(createExecStub(), command.path, command.args, command.env);
    command.prepare?.();
    duplicateOnto(input, 0);
    duplicateOnto(output, 1);
    duplicateOnto(output, 2);
    closeOnExecFrom(3);
    return become();
  } catch (error) {
    writeAll(output, messageOf(error));
    return NOT_EXECUTED;
  }
}
