/** Lists of buffers as one run of bytes: how a driver cuts a request into descriptors means nothing (virtio 1.2, 2.7.4). */

type Buffers = readonly Uint8Array[];

/** The parts that hold the bytes [offset, offset + length), cut short where the list ends. Views, not copies. */
export function slices(buffers: Buffers, offset: number, length = Infinity): Uint8Array[] {
  const result: Uint8Array[] = [];
  let [skip, left] = [offset, length];
  for (const buffer of buffers) {
    if (left <= 0) break;
    if (skip >= buffer.length) {
      skip -= buffer.length;
      continue;
    }
    const part = buffer.subarray(skip, Math.min(buffer.length, skip + left));
    result.push(part);
    left -= part.length;
    skip = 0;
  }
  return result;
}

/** A copy of [offset, offset + length), shorter where the list ends. */
export function gather(buffers: Buffers, offset: number, length: number): Uint8Array {
  const parts = slices(buffers, offset, length);
  const copy = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    copy.set(part, at);
    at += part.length;
  }
  return copy;
}

/** Writes `content` from `offset` on. @returns the bytes written: fewer where the list ends. */
export function scatter(buffers: Buffers, offset: number, content: Uint8Array): number {
  let written = 0;
  for (const part of slices(buffers, offset, content.length)) {
    part.set(content.subarray(written, written + part.length));
    written += part.length;
  }
  return written;
}
