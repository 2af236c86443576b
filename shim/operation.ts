/**
 * What the runtime does for the shim is done in a forked child: it may wait, for a hook, a lock, the death of a process, while the shim goes on
 * answering; it has the container's standard streams as its own; and what it forks in turn, a container's init, is the shim's child when it ends.
 * A child has everything loaded and compiled that the shim has (docs/decisions/0001-fork.md).
 */
import { POLLIN } from "../linux/abi/poll.ts";
import { messageOf } from "../linux/errors.ts";
import type { Fd } from "../linux/fd.ts";
import { duplicateOnto, pipe, read, writeAll } from "../linux/file.ts";
import { fork } from "../linux/fork.unsafe.ts";
import { dropInherited, nodesOwn, type NodesOwn } from "../linux/inherited.unsafe.ts";
import { poll } from "../linux/poll.ts";
import type { Reaper } from "./reaper.ts";

/** Descriptors of standard input, output and error. */
export type Streams = readonly [Fd, Fd, Fd];

export interface Operation<T> {
  readonly streams?: Streams;
  /** What else the child needs. */
  readonly keep?: readonly Fd[];
  /** Runs in the child: synchronously. Its result crosses as JSON. */
  readonly body: () => T;
}

type Outcome<T> = { readonly result: T } | { readonly error: string };

let inherited: NodesOwn | undefined;

/** To be called first of all: what is a pipe or an eventfd then is Node's. */
export function prepareOperations(): void {
  inherited = nodesOwn();
}

/** Smaller than a pipe, so that the child never waits for us to read it. */
const RESULT_LIMIT = 65536;

/** @throws Error with the message of what `body` threw. */
export async function operate<T>(reaper: Reaper, operation: Operation<T>): Promise<T> {
  return reaper.expecting(async () => {
    const [ours, theirs] = pipe();
    using _ours = ours;
    using _theirs = theirs;
    const pid = fork(() => runOperation(operation, theirs));
    theirs.close();
    const code = await new Promise<number>((resolve) => reaper.watch(pid, ({ code }) => resolve(code)));
    // Not to its end: an init that waits for `start` has the other end open too.
    const [news = 0] = poll([{ fd: ours, events: POLLIN }], 0);
    const text = (news & POLLIN) !== 0 ? Buffer.from(read(ours, RESULT_LIMIT)).toString() : "";
    if (text === "") throw new Error(`the runtime's process ended without a word (exit status ${code})`);
    const outcome = JSON.parse(text) as Outcome<T>;
    if ("error" in outcome) throw new Error(outcome.error);
    return outcome.result;
  });
}

function runOperation<T>({ streams, keep = [], body }: Operation<T>, results: Fd): number {
  streams?.forEach((fd, number) => duplicateOnto(fd, number));
  dropInherited([results, ...keep, ...(inherited?.signalPipe ?? [])], inherited?.resources);
  writeAll(results, JSON.stringify(attempt(body)));
  return 0;
}

function attempt<T>(body: () => T): Outcome<T> {
  try {
    return { result: body() };
  } catch (error) {
    return { error: messageOf(error) };
  }
}
