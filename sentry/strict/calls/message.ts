/** struct msghdr of the guest's, which sendmsg(2) and recvmsg(2) take. */
import { ENOBUFS } from "../../../linux/abi/errno.ts";
import { MSGHDR } from "../../../linux/abi/socket.ts";
import { copyIn, copyVectors, small, wide } from "../memory.ts";
import type { Trapped } from "../trapped.ts";
import { NOTHING } from "../sockets/socket.ts";

export type Vectors = readonly (readonly [address: number, size: number])[];

export interface Header {
  /** Where it is. */
  readonly at: number;
  readonly name: number;
  readonly nameSize: number;
  readonly vectors: Vectors;
  readonly control: number;
  readonly controlSize: number;
}

/** What all vectors hold. */
export const sizeOf = (vectors: Vectors): number => vectors.reduce((sum, [, size]) => sum + size, 0);

export function copyHeader(call: Trapped, at: number): Header | number {
  const copied = copyIn(call, at, small, MSGHDR.size);
  if (copied < 0) return copied;
  const [name, control, controlSize] = [wide(small, MSGHDR.name), wide(small, MSGHDR.control), wide(small, MSGHDR.controlSize)];
  const nameSize = small.view.getInt32(MSGHDR.nameSize, true);
  const vectors = copyVectors(call, wide(small, MSGHDR.vectors), wide(small, MSGHDR.vectorCount));
  return typeof vectors === "number" ? vectors : { at, name, nameSize: name === 0 ? 0 : nameSize, vectors, control, controlSize: control === 0 ? 0 : controlSize };
}

const LONGEST_CONTROL = 4096;

export function copyControl(call: Trapped, { control, controlSize }: Header): Uint8Array | number {
  if (controlSize === 0) return NOTHING;
  if (controlSize > LONGEST_CONTROL) return -ENOBUFS;
  const copied = copyIn(call, control, small, controlSize);
  return copied < 0 ? copied : small.bytes.slice(0, controlSize);
}
