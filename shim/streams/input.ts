/** Standard input: from a FIFO of containerd's to the process. */
import { constants, openSync } from "node:fs";
import { Socket } from "node:net";
import type { Writable } from "node:stream";

export interface Input {
  /** Ends it when all that has been written to the FIFO by now has been passed on. */
  close(): void;
  destroy(): void;
}

/**
 * The end of the last writer is the end of the input, as with containerd's own shim. Without any writer yet, the kernel reports neither data nor an end.
 * @param ends whether the end is passed on: a terminal has none.
 */
export function copyInput(path: string, target: Writable, ends: boolean): Input {
  const source = new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false });
  let seen = 0;
  source.on("data", (chunk: Buffer) => void (seen += chunk.length));
  source.pipe(target, { end: ends });
  source.on("error", () => source.destroy());
  target.on("error", () => source.destroy());
  target.on("close", () => source.destroy());
  const finish = () => {
    source.destroy();
    if (ends) target.end();
  };
  /** One round of the event loop reads what is there: if none came, there was none. */
  const finishWhenQuiet = () => {
    if (target.writableNeedDrain) return void target.once("drain", finishWhenQuiet);
    const before = seen;
    setImmediate(() => setImmediate(() => (seen === before ? finish() : finishWhenQuiet())));
  };
  return { close: finishWhenQuiet, destroy: finish };
}
