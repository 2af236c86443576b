/** uname(2). */
import { permanentBlock } from "../../linux/memory.unsafe.ts";
import { IDENTITY, type Kernel } from "../kernel.ts";
import { copyOut } from "../memory.ts";
import type { Call } from "../platform/platform.ts";

/** struct new_utsname: six strings of 65 bytes. Source: Linux include/uapi/linux/utsname.h. */
const FIELD = 65;
const SIZE = 6 * FIELD;
const block = permanentBlock(SIZE);

export function uname(call: Call, { uts }: Kernel): number {
  block.bytes.fill(0);
  const { sysname, release, version, machine } = IDENTITY;
  for (const [i, text] of [sysname, uts.nodename, release, version, machine, uts.domainname].entries()) writeField(i, text);
  return copyOut(call, call.arg(0), block, SIZE);
}

function writeField(index: number, text: string): void {
  block.bytes.set(Buffer.from(text, "latin1").subarray(0, FIELD - 1), index * FIELD);
}
