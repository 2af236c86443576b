/** struct open_how. Source: openat2(2), Linux include/uapi/linux/openat2.h. */
export interface OpenHow {
  readonly flags: number;
  readonly mode: number;
  readonly resolve: number;
}

export const OPEN_HOW_SIZE = 24;

export function encodeOpenHow(how: OpenHow): Uint8Array {
  const view = new DataView(new ArrayBuffer(OPEN_HOW_SIZE));
  view.setBigUint64(0, BigInt(how.flags), true);
  view.setBigUint64(8, BigInt(how.mode), true);
  view.setBigUint64(16, BigInt(how.resolve), true);
  return new Uint8Array(view.buffer);
}
