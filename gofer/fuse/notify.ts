/** Messages to the kernel that nobody has asked for. Source: Linux fs/fuse/dev.c, fuse_notify. */
import { permanentBlock } from "../../linux/memory.unsafe.ts";
import { NOTIFY, NOTIFY_INC_EPOCH, NOTIFY_INVAL_INODE_OUT, OUT_HEADER } from "./abi.ts";
import type { ChangeSink } from "./file-system.ts";
import type { Transport } from "./transport.ts";

/** Offset -1 means attributes alone. */
const NO_DATA = 0xffff_ffff;

export class Notifier implements ChangeSink {
  readonly #transport: Transport;
  readonly #block = permanentBlock(OUT_HEADER.size + NOTIFY_INVAL_INODE_OUT.size);

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** A notification has number 0 and its code in the place of an error. A kernel that does not know it says EINVAL, which changes nothing. */
  #send(code: number, length: number): void {
    const { view } = this.#block;
    view.setUint32(OUT_HEADER.len, OUT_HEADER.size + length, true);
    view.setInt32(OUT_HEADER.error, code, true);
    view.setBigUint64(OUT_HEADER.unique, 0n, true);
    this.#transport.send(this.#block, OUT_HEADER.size + length);
  }

  attributesChanged(node: number): void {
    const { view } = this.#block;
    const at = OUT_HEADER.size;
    view.setUint32(at + NOTIFY_INVAL_INODE_OUT.ino, node % 0x1_0000_0000, true);
    view.setUint32(at + NOTIFY_INVAL_INODE_OUT.ino + 4, Math.floor(node / 0x1_0000_0000), true);
    view.setUint32(at + NOTIFY_INVAL_INODE_OUT.off, NO_DATA, true);
    view.setUint32(at + NOTIFY_INVAL_INODE_OUT.off + 4, NO_DATA, true);
    view.setBigUint64(at + NOTIFY_INVAL_INODE_OUT.len, 0n, true);
    this.#send(NOTIFY.INVAL_INODE, NOTIFY_INVAL_INODE_OUT.size);
  }

  namesChanged(): void {
    this.#send(NOTIFY_INC_EPOCH, 0);
  }
}
