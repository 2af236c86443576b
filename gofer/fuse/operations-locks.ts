/** Requests about locks: sent only where the file system keeps them (`Features.posixLocks`, `flockLocks`). */
import { EINVAL, ENOSYS } from "../../linux/abi/errno.ts";
import * as abi from "./abi.ts";
import type { Call, Operation } from "./call.ts";

const LAST_LOCK_TYPE = 2;

function takeLock({ request, lock }: Call): boolean {
  lock.ownerLow = request.u32(abi.LK_IN.owner);
  lock.ownerHigh = request.u32(abi.LK_IN.owner + 4);
  lock.start = request.wide(abi.LK_IN.start);
  lock.end = Math.min(request.wide(abi.LK_IN.end), Number.MAX_SAFE_INTEGER);
  lock.type = request.u32(abi.LK_IN.type);
  lock.pid = request.u32(abi.LK_IN.pid);
  lock.flock = (request.u32(abi.LK_IN.lk_flags) & abi.LK_FLOCK) !== 0;
  return lock.type <= LAST_LOCK_TYPE && lock.start <= lock.end;
}

const GETLK: Operation = {
  atLeast: abi.LK_IN.size,
  run(call) {
    if (call.fileSystem.getLock === undefined) return -ENOSYS;
    if (!takeLock(call)) return -EINVAL;
    const { lock, reply } = call;
    const result = call.fileSystem.getLock(call.node, call.request.wide(0), lock);
    if (result < 0) return result;
    reply.wide(abi.LK_OUT.start, lock.start);
    reply.wide(abi.LK_OUT.end, lock.end);
    reply.u32(abi.LK_OUT.type, lock.type);
    reply.u32(abi.LK_OUT.pid, lock.pid);
    return abi.LK_OUT.size;
  },
};

const SETLK: Operation = {
  atLeast: abi.LK_IN.size,
  run(call) {
    if (call.fileSystem.setLock === undefined) return -ENOSYS;
    return takeLock(call) ? call.fileSystem.setLock(call.node, call.request.wide(0), call.lock) : -EINVAL;
  },
};

/** -EAGAIN means that it has to wait: the session keeps the request. */
const SETLKW: Operation = { atLeast: abi.LK_IN.size, run: SETLK.run };

export const lockOperations = { GETLK, SETLK, SETLKW } as const;
