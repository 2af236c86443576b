/** What a traced task's memory holds, read once, in bounded portions, and made harmless for a terminal. */
import type { Block } from "../linux/memory.unsafe.ts";
import { permanentBlock } from "../linux/memory.unsafe.ts";
import { readProcess } from "../linux/process-vm.ts";

const LONGEST = 4096;
const PAGE = 4096;
/** Of a string or of data, in bytes. */
const SHOWN = 96;
const MOST_STRINGS = 16;

const block: Block = permanentBlock(LONGEST);

/** @returns a copy of as many of the bytes as can be read, at most 4096; undefined where none can. */
export function bytesAt(pid: number, address: number, size: number): Uint8Array | undefined {
  const length = readProcess(pid, address, block, Math.min(size, LONGEST));
  return length > 0 ? block.bytes.slice(0, length) : undefined;
}

/** A string that ends with a NUL, in quotes; undefined where it cannot be read. */
export function stringAt(pid: number, address: number): string | undefined {
  // To the page's end first: the next one may not be there.
  const first = bytesAt(pid, address, PAGE - (address % PAGE));
  if (first === undefined) return undefined;
  const whole = first.includes(0) || first.length > SHOWN ? first : (bytesAt(pid, address, PAGE) ?? first);
  const end = whole.indexOf(0);
  return quoted(end === -1 ? whole : whole.subarray(0, end));
}

export function dataAt(pid: number, address: number, size: number): string | undefined {
  if (size === 0) return '""';
  const bytes = bytesAt(pid, address, Math.min(size, SHOWN + 1));
  return bytes === undefined ? undefined : quoted(bytes, size);
}

/** @param size of the whole, of which `bytes` may be the beginning. */
export function quoted(bytes: Uint8Array, size = bytes.length): string {
  const shown = bytes.subarray(0, SHOWN);
  return `"${Array.from(shown, escaped).join("")}"${size > shown.length ? "..." : ""}`;
}

const NAMED = new Map([[0x0a, "\\n"], [0x0d, "\\r"], [0x09, "\\t"], [0x22, '\\"'], [0x5c, "\\\\"]]);

function escaped(byte: number): string {
  const named = NAMED.get(byte);
  if (named !== undefined) return named;
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
}

/** The addresses in an array that ends with NULL, at most `limit`; undefined where it cannot be read. */
function pointersAt(pid: number, address: number, limit: number): number[] | undefined {
  const bytes = bytesAt(pid, address, limit * 8);
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length - (bytes.length % 8));
  const all = Array.from({ length: view.byteLength / 8 }, (_, i) => Number(view.getBigUint64(8 * i, true)));
  const end = all.indexOf(0);
  return end === -1 ? all : all.slice(0, end);
}

/** An array of strings as execve(2) takes it. */
export function stringsAt(pid: number, address: number): string | undefined {
  const pointers = pointersAt(pid, address, MOST_STRINGS + 1);
  if (pointers === undefined) return undefined;
  const words = pointers.slice(0, MOST_STRINGS).map((pointer) => stringAt(pid, pointer) ?? "?");
  return `[${[...words, ...(pointers.length > MOST_STRINGS ? ["..."] : [])].join(", ")}]`;
}

/** How many strings there are in such an array. */
export function countAt(pid: number, address: number): string | undefined {
  const pointers = pointersAt(pid, address, LONGEST / 8);
  return pointers === undefined ? undefined : `/* ${pointers.length} vars */`;
}
