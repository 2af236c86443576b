/** bpf(2), as far as cgroup device programs need it. Layouts: union bpf_attr and struct bpf_prog_info in include/uapi/linux/bpf.h. */
import { SYS } from "./arch.ts";
import { EAGAIN } from "./abi/errno.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { readCString, scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const BPF_PROG_DETACH = 9;
const BPF_PROG_GET_FD_BY_ID = 13;
const BPF_OBJ_GET_INFO_BY_FD = 15;
const BPF_PROG_QUERY = 16;

const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
const BPF_F_ALLOW_MULTI = 2;
const BPF_F_REPLACE = 4;

const INSTRUCTION_SIZE = 8;
/** The part of union bpf_attr that is passed; the kernel takes the rest for zero. */
const ATTR_SIZE = 72;
/** Up to and with `name`. */
const INFO_SIZE = 80;
const INFO_NAME_OFFSET = 64;
const NAME_SIZE = 16;
const MAX_PROGRAMS = 64;

/** As often as libbpf tries. */
const LOAD_ATTEMPTS = 5;

type Attr = (view: DataView) => void;

function bpf(command: number, fill: Attr, label: string): number {
  using s = scratch();
  const attr = s.reserve(ATTR_SIZE);
  fill(attr.view);
  return check(retryingAgain(command, attr.address), "bpf", label);
}

/** The verifier gives up with EAGAIN when a signal arrives, SIGCHLD for instance. Source: do_check() in kernel/bpf/verifier.c. */
function retryingAgain(command: number, attr: number): number {
  let result = -EAGAIN;
  for (let attempt = 0; attempt < LOAD_ATTEMPTS && result === -EAGAIN; attempt++) result = syscall(SYS.bpf, command, attr, ATTR_SIZE);
  return result;
}

/**
 * Loads a device program.
 * @param program struct bpf_insn[], 8 bytes each.
 * @param name up to 15 letters, digits, `_` or `.`; tells our programs from others'.
 * @throws SysError EPERM without CAP_BPF or CAP_SYS_ADMIN, EINVAL or EACCES where the verifier refuses it.
 */
export function loadDeviceProgram(program: Uint8Array, name: string): Fd {
  using s = scratch();
  const [code, license] = [s.copy(program), s.cstr("Apache-2.0")];
  return new Fd(bpf(BPF_PROG_LOAD, (attr) => {
    attr.setUint32(0, BPF_PROG_TYPE_CGROUP_DEVICE, true);
    attr.setUint32(4, program.length / INSTRUCTION_SIZE, true);
    attr.setBigUint64(8, BigInt(code), true);
    attr.setBigUint64(16, BigInt(license), true);
    for (let i = 0; i < Math.min(name.length, NAME_SIZE - 1); i++) attr.setUint8(48 + i, name.charCodeAt(i));
  }, "BPF_PROG_LOAD"));
}

/**
 * Attaches a device program to a cgroup v2 directory, beside the ones that are there (every one must allow an access),
 * or in the place of `replaced` in one step (since 5.6).
 */
export function attachDeviceProgram(cgroup: FdLike, program: FdLike, replaced?: FdLike): void {
  bpf(BPF_PROG_ATTACH, (attr) => {
    attr.setUint32(0, fdNumber(cgroup), true);
    attr.setUint32(4, fdNumber(program), true);
    attr.setUint32(8, BPF_CGROUP_DEVICE, true);
    attr.setUint32(12, replaced === undefined ? BPF_F_ALLOW_MULTI : BPF_F_ALLOW_MULTI | BPF_F_REPLACE, true);
    attr.setUint32(16, replaced === undefined ? 0 : fdNumber(replaced), true);
  }, "BPF_PROG_ATTACH");
}

export function detachDeviceProgram(cgroup: FdLike, program: FdLike): void {
  bpf(BPF_PROG_DETACH, (attr) => {
    attr.setUint32(0, fdNumber(cgroup), true);
    attr.setUint32(4, fdNumber(program), true);
    attr.setUint32(8, BPF_CGROUP_DEVICE, true);
  }, "BPF_PROG_DETACH");
}

/** The ids of the device programs attached to this cgroup itself. @throws SysError ENOSPC for more than 64. */
export function queryDevicePrograms(cgroup: FdLike): number[] {
  using s = scratch();
  const ids = s.reserve(MAX_PROGRAMS * 4);
  const attr = s.reserve(ATTR_SIZE);
  attr.view.setUint32(0, fdNumber(cgroup), true);
  attr.view.setUint32(4, BPF_CGROUP_DEVICE, true);
  attr.view.setBigUint64(16, BigInt(ids.address), true);
  attr.view.setUint32(24, MAX_PROGRAMS, true);
  check(syscall(SYS.bpf, BPF_PROG_QUERY, attr.address, ATTR_SIZE), "bpf", "BPF_PROG_QUERY");
  return Array.from({ length: attr.view.getUint32(24, true) }, (_, index) => ids.view.getUint32(index * 4, true));
}

/** @throws SysError ENOENT where the program has gone, EPERM without CAP_SYS_ADMIN. */
export function openProgram(id: number): Fd {
  return new Fd(bpf(BPF_PROG_GET_FD_BY_ID, (attr) => attr.setUint32(0, id, true), "BPF_PROG_GET_FD_BY_ID"));
}

export function programName(program: FdLike): string {
  using s = scratch();
  const info = s.reserve(INFO_SIZE);
  bpf(BPF_OBJ_GET_INFO_BY_FD, (attr) => {
    attr.setUint32(0, fdNumber(program), true);
    attr.setUint32(4, INFO_SIZE, true);
    attr.setBigUint64(8, BigInt(info.address), true);
  }, "BPF_OBJ_GET_INFO_BY_FD");
  return readCString(info.bytes.subarray(INFO_NAME_OFFSET, INFO_NAME_OFFSET + NAME_SIZE));
}
