/** A directory of the host behind a virtio-fs device: the gofer's session, by way of the device's queue instead of /dev/fuse. */
import { BUFFER_SIZE } from "../gofer/fuse/transport.ts";
import { Session } from "../gofer/fuse/session.ts";
import { HostFileSystem } from "../gofer/hostfs/file-system.ts";
import type { Loan } from "../gofer/export.ts";
import { permanentBlock } from "../linux/memory.unsafe.ts";
import type { FuseBackEnd } from "./devices/fs.ts";

/** Owns the loan's root. */
export function lendDirectory(loan: Loan): FuseBackEnd {
  const request = permanentBlock(BUFFER_SIZE);
  const reply = permanentBlock(BUFFER_SIZE);
  const session = new Session(new HostFileSystem(loan), request, reply);
  return { request: request.bytes, reply: reply.bytes, handle: (length, capacity) => session.handle(length, capacity) };
}
