/** uname(2). */
import { permanentBlock, type Block } from "../../linux/memory.unsafe.ts";
import { IDENTITY, type Kernel, type Uts } from "../kernel.ts";
import { copyOut } from "../memory.ts";
import type { Call } from "../platform/platform.ts";

/** struct new_utsname: six strings of 65 bytes. Source: Linux include/uapi/linux/utsname.h. */
const FIELD = 65;
const SIZE = 6 * FIELD;
/** A sandbox's names do not change: filled in once. */
const filled = new WeakMap<Uts, Block>();

export function uname(call: Call, { uts }: Kernel): number {
  return copyOut(call, call.arg(0), filled.get(uts) ?? fill(uts), SIZE);
}

function fill(uts: Uts): Block {
  const block = permanentBlock(SIZE);
  const { sysname, release, version, machine } = IDENTITY;
  for (const [i, text] of [sysname, uts.nodename, release, version, machine, uts.domainname].entries()) {
    block.bytes.set(Buffer.from(text, "latin1").subarray(0, FIELD - 1), i * FIELD);
  }
  filled.set(uts, block);
  return block;
}
