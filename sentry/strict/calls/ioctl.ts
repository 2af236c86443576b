/** ioctl(2). */
import { EBADF, ENOTTY } from "../../../linux/abi/errno.ts";
import { O_NONBLOCK } from "../../../linux/abi/fcntl.ts";
import { copyIn, small } from "../memory.ts";
import { HostStream } from "../objects/files.ts";
import type { Handler } from "../strict.ts";
import { controlTerminal } from "./terminals.ts";

const FIONBIO = 0x5421;
const NUMBER_FLAGS: readonly number[] = [0x5450, 0x5451];

export const ioctl: Handler = (call, strict) => {
  const file = strict.descriptors.file(call, call.int(0));
  if (file === undefined) return -EBADF;
  const command = call.int(1);
  if (NUMBER_FLAGS.includes(command)) return -ENOTTY;
  if (command !== FIONBIO) return file instanceof HostStream ? controlTerminal(call, strict, file) : file.control(call, command);
  const copied = copyIn(call, call.arg(2), small, 4);
  if (copied < 0) return copied;
  file.flags = small.view.getInt32(0, true) === 0 ? file.flags & ~O_NONBLOCK : file.flags | O_NONBLOCK;
  return 0;
};
