/** Machine code that must not be V8's: bytes of x86-64 instructions, and a place for them. */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import type { Addr } from "./memory.unsafe.ts";
import { rawView, syscall } from "./syscall.unsafe.ts";

const PAGE = 4096;
const PROT_READ_WRITE = 3;
const PROT_READ_EXEC = 5;
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** The lowest 32 bits of a value, as an instruction has them. */
export const le32 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];

/** An address, or another whole number that is none below 0. */
export const le64 = (value: number): number[] => [...le32(value % 2 ** 32), ...le32(Math.floor(value / 2 ** 32))];

/** Maps at most a page of code, for good. @throws SysError */
export function mapCode(code: ArrayLike<number>): Addr {
  const address = check(syscall(SYS.mmap, 0, PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0), "mmap");
  // SAFETY: the mapping is ours and new; it is written before it is made executable.
  new Uint8Array(rawView(address, PAGE)).set(code);
  check(syscall(SYS.mprotect, address, PAGE, PROT_READ_EXEC), "mprotect");
  return address;
}
