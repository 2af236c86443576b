/** struct statx. Source: statx(2), Linux include/uapi/linux/stat.h. */

export const STATX_SIZE = 256;
export const STATX_BASIC = 0x7ff;
export const STATX_MNT_ID = 0x1000;

export interface Statx {
  /** File type and permission bits, `S_IF*` included. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly ino: bigint;
  readonly size: number;
  /** Device numbers of the node itself; 0 for all but devices. */
  readonly rdev: { readonly major: number; readonly minor: number };
  /** The file system that holds the file. */
  readonly dev: { readonly major: number; readonly minor: number };
  /** The mount it was reached through; unique among the mounts that exist now. */
  readonly mountId: bigint;
}

export function decodeStatx(view: DataView): Statx {
  const device = (offset: number) => ({ major: view.getUint32(offset, true), minor: view.getUint32(offset + 4, true) });
  return {
    nlink: view.getUint32(0x10, true),
    uid: view.getUint32(0x14, true),
    gid: view.getUint32(0x18, true),
    mode: view.getUint16(0x1c, true),
    ino: view.getBigUint64(0x20, true),
    size: Number(view.getBigUint64(0x28, true)),
    rdev: device(0x80),
    dev: device(0x88),
    mountId: view.getBigUint64(0x90, true),
  };
}
