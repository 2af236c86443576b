/**
 * Random bytes from the kernel. Node's module for them costs 15 ms of a start, and draws UUIDs in advance, which a fork would share.
 * Source: getrandom(2).
 */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

/** @param size at most 256, which the kernel gives whole and without being interrupted. */
export function randomBytes(size: number): Buffer {
  using s = scratch();
  const block = s.reserve(size);
  check(syscall(SYS.getrandom, block.address, size, 0), "getrandom");
  return Buffer.from(block.bytes.slice(0, size));
}

/** Version 4. Source: RFC 9562, section 5.4. */
export function randomUuid(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
