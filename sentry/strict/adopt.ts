/** Open files that the guest was born with, or that the kernel has worked with under the guest's number (calls/lend.ts): what each is here. */
import { O_NONBLOCK, S_IFDIR, S_IFMT, S_IFREG } from "../../linux/abi/fcntl.ts";
import { AF_UNIX, SOCK_STREAM, SOL_SOCKET } from "../../linux/abi/socket.ts";
import type { Fd } from "../../linux/fd.ts";
import { fileSystemMagic, openAt, read, statAt } from "../../linux/file.ts";
import { permanentBlock } from "../../linux/memory.unsafe.ts";
import * as kernel from "../../linux/on-behalf.ts";
import type { Description } from "./objects/description.ts";
import { HostFile } from "./objects/files.ts";
import { isMemoryFile, MemoryFile } from "./objects/memfd.ts";
import { SignalFile } from "./objects/signalfd.ts";
import { HostSocket } from "./sockets/host.ts";
import type { Strict } from "./strict.ts";
import { modeOf } from "./volumes/volumes.ts";

const S_IFSOCK = 0o140000;
/** Descriptors of processes. */
const PID_FS_MAGIC = 0x50494446;
const SO_TYPE = 3;
const SO_DOMAIN = 39;
const value = permanentBlock(16);

/** @param opener the process that has it, as the sentry counts. */
export function adopt(strict: Strict, fd: Fd, opener: number | undefined): Description {
  const desk = strict.volumes.of(fd.number);
  const mode = desk === undefined ? statAt(fd).mode : modeOf(fd.number);
  const type = mode & S_IFMT;
  const flags = kernel.getFlags(fd.number);
  if (type === S_IFSOCK) return new HostSocket(strict, fd, ask(fd, SO_DOMAIN, AF_UNIX), ask(fd, SO_TYPE, SOCK_STREAM), flags & O_NONBLOCK, true);
  const isFile = (type === S_IFREG || type === S_IFDIR) && (desk !== undefined || fileSystemMagic(fd.number) !== PID_FS_MAGIC);
  const file = isFile ? new (isMemoryFile(fd.number) ? MemoryFile : HostFile)(fd, flags, mode) : ((type === 0 ? signals(strict, fd, flags) : undefined) ?? strict.streams.make(fd, flags, mode));
  file.opener = opener;
  file.desk = desk;
  return file;
}

/** What a task has of the kernel's, born while another thread was reading; undefined where it is something else. */
function signals({ epoll, callers, procfs }: Strict, fd: Fd, flags: number): SignalFile | undefined {
  using info = openAt(procfs.fd, `self/fdinfo/${fd.number}`, 0);
  const mask = /^sigmask:\t([0-9a-f]+)$/m.exec(Buffer.from(read(info, 512)).toString("latin1"))?.[1];
  return mask === undefined ? undefined : new SignalFile(fd, flags, BigInt(`0x${mask}`), epoll, () => callers.pendingSignals());
}

function ask(fd: Fd, option: number, otherwise: number): number {
  value.view.setUint32(8, 4, true);
  const result = kernel.getOption(fd.number, SOL_SOCKET, option, value.address, value.address + 8);
  return result < 0 ? otherwise : value.view.getInt32(0, true);
}
