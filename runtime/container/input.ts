/** Reading JSON that somebody else has put there. */
import { isUtf8 } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

/** Engines write some 10 KiB. */
const MAX_SIZE = 16 << 20;

/**
 * The text of a regular file of at most 16 MiB: a FIFO would keep us waiting for its writer.
 * @param name what the reader of an error knows it by.
 * @throws Error in one line, or Node's own.
 */
export function readText(path: string, name: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new Error(`${name}: ${path} is ${stat.isDirectory() ? "a directory" : "not a regular file"}`);
    if (stat.size > MAX_SIZE) throw new Error(`${name}: ${path} has ${stat.size} bytes, and may have ${MAX_SIZE}`);
    const bytes = readFileSync(file);
    if (!isUtf8(bytes)) throw new Error(`${name}: ${path} is not valid UTF-8`);
    return bytes.toString();
  } finally {
    closeSync(file);
  }
}
