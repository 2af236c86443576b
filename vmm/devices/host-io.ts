/** Reads and writes of descriptors that may not be ready, without an exception for what is ordinary. */
import { readvSync, writevSync } from "node:fs";

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code;

/** @returns the bytes read, 0 at the end; "later" where there is nothing yet, "gone" where the other side is. */
export function tryReadInto(fd: number, parts: readonly Uint8Array[]): number | "later" | "gone" {
  try {
    return readvSync(fd, parts);
  } catch (error) {
    return codeOf(error) === "EAGAIN" ? "later" : "gone";
  }
}

/** @returns the bytes written; "later" where there is no room, "gone" where nobody will read them. */
export function tryWriteFrom(fd: number, parts: readonly Uint8Array[]): number | "later" | "gone" {
  try {
    return writevSync(fd, parts);
  } catch (error) {
    return codeOf(error) === "EAGAIN" ? "later" : "gone";
  }
}
