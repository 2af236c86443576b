/**
 * Descriptors on their way: SCM_RIGHTS of unix(7). What is kept is a copy of the placeholder that the sender has, by which its description stays
 * open; the receiver gets a copy of that.
 */
import { EBADF, EINVAL, ETOOMANYREFS } from "../../../linux/abi/errno.ts";
import { CMSG, SCM_CREDENTIALS, SCM_RIGHTS, SOL_SOCKET, UCRED } from "../../../linux/abi/socket.ts";
import { Fd } from "../../../linux/fd.ts";
import type { Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import type { Credentials } from "../tasks/tasks.ts";

/** SCM_MAX_FD: in one message. Source: Linux include/net/scm.h. */
const MOST = 253;
/** Of the sandbox, all together: sockets that lie in each other's messages are never found to be garbage here. */
const MOST_IN_FLIGHT = 4096;

let inFlight = 0;

export class Rights {
  readonly fds: readonly Fd[];

  constructor(fds: readonly Fd[]) {
    this.fds = fds;
    inFlight += fds.length;
  }

  release(): void {
    inFlight -= this.fds.length;
    for (const fd of this.fds) fd.close();
  }
}

/** What a message of a unix socket has besides its data. */
export interface Ancillary {
  readonly rights: Rights | undefined;
  /** Whom the sender says to be. */
  readonly credentials: Credentials | undefined;
}

/** Of the sender's control messages. @returns the negative errno. Source: Linux net/core/scm.c, __scm_send. */
export function takeAncillary(call: Trapped, strict: Strict, control: Uint8Array): Ancillary | number {
  const view = new DataView(control.buffer, control.byteOffset, control.length);
  const numbers: number[] = [];
  let credentials: Credentials | undefined;
  for (let at = 0; at + CMSG.data <= control.length; ) {
    const length = Number(view.getBigUint64(at + CMSG.length, true));
    if (length < CMSG.data || at + length > control.length) return -EINVAL;
    const type = view.getInt32(at + CMSG.level, true) === SOL_SOCKET ? view.getInt32(at + CMSG.type, true) : undefined;
    const data = at + CMSG.data;
    if (type === SCM_RIGHTS) for (let one = data; one + 4 <= at + length; one += 4) numbers.push(view.getInt32(one, true));
    else if (type === SCM_CREDENTIALS && length === CMSG.data + UCRED.size) credentials = { pid: view.getInt32(data, true), uid: view.getUint32(data + UCRED.uid, true), gid: view.getUint32(data + UCRED.gid, true) };
    else if (type !== undefined) return -EINVAL;
    at += (length + 7) & ~7;
  }
  if (credentials !== undefined) {
    const allowed = strict.callers.mayClaim(call, credentials);
    if (allowed < 0) return allowed;
  }
  const rights = copyAll(call, strict, numbers);
  return typeof rights === "number" ? rights : { rights, credentials };
}

function copyAll(call: Trapped, strict: Strict, numbers: readonly number[]): Rights | number | undefined {
  if (numbers.length === 0) return undefined;
  if (numbers.length > MOST) return -EINVAL;
  if (inFlight + numbers.length > MOST_IN_FLIGHT) return -ETOOMANYREFS;
  const copies: Fd[] = [];
  for (const number of numbers) {
    // It is a placeholder then, whatever it was.
    const copy = strict.descriptors.file(call, number) === undefined ? -EBADF : strict.descriptors.copy(call, number);
    if (copy < 0) {
      for (const fd of copies) fd.close();
      return -EBADF;
    }
    copies.push(new Fd(copy));
  }
  return new Rights(copies);
}
