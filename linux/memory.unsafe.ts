/**
 * Foreign memory for system call arguments: a mapped region used as a stack, so that a call allocates nothing on V8's heap but views.
 *
 *   using s = scratch();
 *   syscall(SYS.mkdirat, dirfd, s.cstr("proc"), 0o755);
 */
import { SYS } from "./arch.ts";
import { check, SysError } from "./errors.ts";
import { rawView, syscall } from "./syscall.unsafe.ts";

/** An address in this process. A plain number: user space ends below 2^47. */
export type Addr = number;

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const EINVAL = 22;
const REGION_SIZE = 1 << 20;

/** A mapped block with its views. */
export interface Block {
  readonly address: Addr;
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

function mapBlock(size: number): Block {
  const address = check(syscall(SYS.mmap, 0, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0), "mmap");
  // SAFETY: freshly mapped; unmapped only by the frame that owns the block, after which its views are out of reach.
  const buffer = rawView(address, size);
  return { address, size, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

/** A zeroed block that is never unmapped: for what a hot path uses again and again. Small ones share pages. */
export function permanentBlock(size: number): Block {
  const PAGE = 4096;
  if (size > PAGE) return mapBlock(size);
  if (permanent === undefined || permanentTop + size > PAGE) {
    permanent = mapBlock(PAGE);
    permanentTop = 0;
  }
  const { address, bytes, view } = permanent;
  const start = permanentTop;
  permanentTop = (start + size + 7) & ~7;
  return { address: address + start, size, bytes: bytes.subarray(start, start + size), view: new DataView(view.buffer, start, size) };
}

let permanent: Block | undefined;
let permanentTop = 0;

const region = mapBlock(REGION_SIZE);
let top = 0;

const encoder = new TextEncoder();

/** A frame on the scratch stack. What it hands out lives until it is disposed of; frames nest. */
export class Scratch implements Disposable {
  readonly #mark = top;
  #large: Block[] | undefined;

  /** `size` zeroed bytes, aligned to 8. A request too large for the region gets a mapping of its own. */
  reserve(size: number): Block {
    const start = (top + 7) & ~7;
    if (start + size > REGION_SIZE) return this.#reserveLarge(size);
    top = start + size;
    const bytes = region.bytes.subarray(start, top);
    bytes.fill(0);
    return {
      address: region.address + start,
      size,
      bytes,
      view: new DataView(region.view.buffer, region.view.byteOffset + start, size),
    };
  }

  #reserveLarge(size: number): Block {
    const block = mapBlock(size);
    (this.#large ??= []).push(block);
    return block;
  }

  /** A copy of `data`. */
  copy(data: Uint8Array): Addr {
    const block = this.reserve(data.length);
    block.bytes.set(data);
    return block.address;
  }

  /**
   * A NUL-terminated copy of `text` in UTF-8.
   * @throws SysError EINVAL where `text` holds a NUL: the kernel would see a shorter name than the one that was checked.
   */
  cstr(text: string): Addr {
    if (text.includes("\0")) throw new SysError({ syscall: "cstr", errno: EINVAL, path: JSON.stringify(text) });
    const encoded = encoder.encode(text);
    const block = this.reserve(encoded.length + 1);
    block.bytes.set(encoded);
    block.bytes[encoded.length] = 0;
    return block.address;
  }

  /** A NULL-terminated array of C strings, as execve(2) takes it. */
  cstrs(texts: readonly string[]): Addr {
    const addresses = texts.map((text) => this.cstr(text));
    const block = this.reserve((addresses.length + 1) * 8);
    for (const [i, address] of addresses.entries()) block.view.setBigUint64(i * 8, BigInt(address), true);
    return block.address;
  }

  [Symbol.dispose](): void {
    top = this.#mark;
    for (const block of this.#large ?? []) syscall(SYS.munmap, block.address, block.size);
  }
}

/** Opens a frame; close it with `using`. */
export function scratch(): Scratch {
  return new Scratch();
}

/** Reads a NUL-terminated string from a block that the kernel has filled. */
export function readCString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end === -1 ? bytes.slice() : bytes.slice(0, end));
}

/** Memory that somebody has handed over by its address. Preconditions: it is mapped as far as it is looked at, and for as long. */
export function bytesAt(address: Addr, size: number): Uint8Array {
  // SAFETY: the address comes from a block of ours.
  return new Uint8Array(rawView(address, size));
}
