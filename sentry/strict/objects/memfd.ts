/**
 * Files of memfd_create(2): the kernel's, and the sentry's alone until they are mapped or written to. What is written is the kernel's work (calls/lend.ts): pages are
 * charged to the cgroup of whoever writes them, and that is to be the guest's, whose limit bounds them.
 */
import { O_RDWR, S_IFREG } from "../../../linux/abi/fcntl.ts";
import { Fd } from "../../../linux/fd.ts";
import { deviceOf } from "../volumes/volumes.ts";
import { HostFile } from "./files.ts";

const O_LARGEFILE = 0o100000;

export class MemoryFile extends HostFile {}

/** The kernel's own mount that all of them lie on; undefined before there is one. */
let device: string | undefined;

export const isMemoryFile = (fd: number): boolean => device !== undefined && deviceOf(fd) === device;

/** Of one that was made just now. */
export function memoryFile(made: number): MemoryFile {
  device ??= deviceOf(made);
  return new MemoryFile(new Fd(made), O_RDWR | O_LARGEFILE, S_IFREG);
}
