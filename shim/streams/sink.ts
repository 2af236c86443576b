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
