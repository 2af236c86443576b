/** The writing end of a destination, for what the shim copies. */
import { closeSync, constants, mkdirSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { dirname } from "node:path";
import { Writable } from "node:stream";
import { assertNever } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import type { Destination } from "./destination.ts";

export type CopiedTo = Exclude<Destination, { readonly kind: "none" | "binary" }>;

export function openSink(destination: CopiedTo): Writable {
  switch (destination.kind) {
    case "fifo":
      return fifoSink(destination.path);
    case "file":
      return fileSink(destination.path);
    default:
      return assertNever(destination);
  }
}

/** Open for reading too: there is a reader then also while containerd is away, and what is written waits for it. */
function fifoSink(path: string): Writable {
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  return new Socket({ fd, readable: false, writable: true });
}

const READER_LOOK_MS = 5;
const READER_WAIT_MS = 10_000;

/**
 * containerd opens a FIFO in the background, and waits in open(2) for a writer: one that has come, written and gone before that is never seen, what it wrote is
 * lost, and containerd waits for ever. So nobody writes before it is there; after ten seconds it has died, most likely. Source: containerd/fifo, fifo.go; fifo(7).
 * @returns a descriptor to be closed when the sink is open.
 */
export async function awaitReader(destination: Destination): Promise<number | undefined> {
  if (destination.kind !== "fifo") return undefined;
  for (let waited = 0; waited < READER_WAIT_MS; waited += READER_LOOK_MS) {
    try {
      return openSync(destination.path, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENXIO") throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, READER_LOOK_MS));
  }
  return undefined;
}

export function pipeSink(end: Fd): Writable {
  return new Socket({ fd: end.release(), readable: false, writable: true });
}

/** Writing to a file does not wait for anybody, and so needs no thread. */
function fileSink(path: string): Writable {
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, "a", 0o644);
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      try {
        for (let written = 0; written < chunk.length; ) written += writeSync(fd, chunk, written);
        done();
      } catch (error) {
        done(error as Error);
      }
    },
    destroy(error, done) {
      closeSync(fd);
      done(error);
    },
  });
}
