/** Output of the guest to a descriptor of the host, which may be a pipe or a terminal that nobody reads. */
import { writeSync } from "node:fs";

const byteBuffer = new Uint8Array(1);

/** Writes one byte. What cannot be written is lost: a guest must not stop for its console, nor be told of the host's trouble. */
export function sendToConsole(fd: number, byte: number): void {
  byteBuffer[0] = byte;
  try {
    writeSync(fd, byteBuffer);
  } catch {
    // A full pipe, or one without a reader.
  }
}
