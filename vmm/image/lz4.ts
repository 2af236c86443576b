/**
 * Unpacks the format in which kernels are packed with LZ4: "legacy frames", blocks with their length before them.
 * Sources: LZ4 doc/lz4_Frame_format.md ("Legacy frame"), doc/lz4_Block_format.md.
 */
export const LZ4_LEGACY_MAGIC = 0x184c_2102;

/** Of the unpacked content of a block. */
const MAX_BLOCK = 8 << 20;
const SHORTEST_MATCH = 4;
/** In each half of a token: more of the length follows, in bytes of which the last is none of 255. */
const MORE = 15;

/** @param packed with the magic number; nothing behind the last block. @throws RangeError where it is damaged */
export function unpackLz4(packed: Uint8Array): Uint8Array {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const blocks: Uint8Array[] = [];
  for (let at = 4; at < packed.length; ) {
    const size = view.getUint32(at, true);
    at += 4;
    if (size > packed.length - at) throw new RangeError("LZ4: a block that is cut off");
    blocks.push(unpackBlock(packed.subarray(at, at + size)));
    at += size;
  }
  return Buffer.concat(blocks);
}

/** Literals, then a copy of what was unpacked already, and so on; literals are the last. */
function unpackBlock(packed: Uint8Array): Uint8Array {
  const out = new Uint8Array(MAX_BLOCK);
  let [from, to] = [0, 0];
  const byte = (): number => {
    const value = packed[from++];
    if (value === undefined) throw new RangeError("LZ4: a sequence that is cut off");
    return value;
  };
  const lengthOf = (half: number): number => {
    let length = half;
    for (let more = half === MORE ? 255 : 0; more === 255; length += more) more = byte();
    return length;
  };
  while (from < packed.length) {
    const token = byte();
    const literals = lengthOf(token >> 4);
    if (literals > packed.length - from) throw new RangeError("LZ4: literals that are cut off");
    out.set(packed.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    if (from === packed.length) break;
    const distance = byte() | (byte() << 8);
    const end = to + lengthOf(token & MORE) + SHORTEST_MATCH;
    if (distance === 0 || distance > to || end > MAX_BLOCK) throw new RangeError("LZ4: a copy of what is not there");
    // A copy may overlap what it makes, so it goes byte by byte.
    for (; to < end; to++) out[to] = out[to - distance] ?? 0;
  }
  return out.subarray(0, to);
}
