/** Requests about extended attributes. */
import { E2BIG, EINVAL, ENOSYS, ERANGE } from "../../linux/abi/errno.ts";
import * as abi from "./abi.ts";
import type { Call, Operation } from "./call.ts";

const XATTR_SIZE_MAX = 65536;

/** The length where `size` was 0, else the value, which is in the reply already. */
function lengthOrValue({ reply }: Call, size: number, result: number): number {
  if (result < 0 || size > 0) return result > size && size > 0 ? -ERANGE : result;
  reply.u32(abi.XATTR_OUT.size_, result);
  reply.u32(4, 0);
  return abi.XATTR_OUT.size;
}

const GETXATTR: Operation = {
  atLeast: abi.GETXATTR_IN.size + 2,
  run(call) {
    const { fileSystem, request, reply, name } = call;
    if (fileSystem.getXattr === undefined) return -ENOSYS;
    const checked = request.text(abi.GETXATTR_IN.size, name);
    if (checked < 0) return checked;
    const size = Math.min(request.u32(0), XATTR_SIZE_MAX, reply.room);
    return lengthOrValue(call, size, fileSystem.getXattr(call.node, name, reply.block, reply.position(0), size));
  },
};

const LISTXATTR: Operation = {
  atLeast: abi.GETXATTR_IN.size,
  run(call) {
    const { fileSystem, request, reply } = call;
    if (fileSystem.listXattr === undefined) return -ENOSYS;
    const size = Math.min(request.u32(0), XATTR_SIZE_MAX, reply.room);
    return lengthOrValue(call, size, fileSystem.listXattr(call.node, reply.block, reply.position(0), size));
  },
};

const SETXATTR: Operation = {
  atLeast: abi.SETXATTR_IN_SHORT + 2,
  run({ fileSystem, request, node, name }) {
    if (fileSystem.setXattr === undefined) return -ENOSYS;
    const value = request.text(abi.SETXATTR_IN_SHORT, name);
    if (value < 0) return value;
    const size = request.u32(0);
    if (size > XATTR_SIZE_MAX) return -E2BIG;
    if (size > request.payload - value) return -EINVAL;
    return fileSystem.setXattr(node, name, request.block, request.position(value), size, request.u32(4));
  },
};

const REMOVEXATTR: Operation = {
  atLeast: 2,
  run({ fileSystem, request, node, name }) {
    if (fileSystem.removeXattr === undefined) return -ENOSYS;
    const checked = request.text(0, name);
    return checked < 0 ? checked : fileSystem.removeXattr(node, name);
  },
};

export const xattrOperations = { GETXATTR, LISTXATTR, SETXATTR, REMOVEXATTR } as const;
