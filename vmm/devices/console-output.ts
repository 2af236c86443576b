/** Output of the guest to a descriptor of the host, which may be a pipe or a terminal that nobody reads, or a file on a disk that is not the guest's. */
import { writeSync } from "node:fs";

/** Bytes that a process writes in all: enough for a kernel's boot and its last words, and no way to fill a disk. */
export const OUTPUT_LIMIT = 256 << 10;

const byteBuffer = new Uint8Array(1);
let written = 0;

/** Writes one byte. What cannot be written is lost: a guest must not stop for its console, nor be told of the host's trouble. */
export function sendToConsole(fd: number, byte: number): void {
  if (written >= OUTPUT_LIMIT) return;
  written++;
  byteBuffer[0] = byte;
  try {
    writeSync(fd, byteBuffer);
  } catch {
    // A full pipe, or one without a reader.
  }
}
