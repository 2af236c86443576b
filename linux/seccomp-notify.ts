/**
 * The supervisor's side of seccomp user notification. A round trip allocates nothing.
 * Sources: seccomp_unotify(2), Linux include/uapi/linux/seccomp.h.
 */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { O_CLOEXEC } from "./abi/fcntl.ts";
import { fdNumber, type Fd, type FdLike } from "./fd.ts";
import { permanentBlock, scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

/** Sizes are part of the numbers: _IOWR('!', 0, 80), _IOWR('!', 1, 24), _IOW('!', 2, 8), _IOW('!', 4, 8). */
const NOTIF_RECV = 0xc0502100;
const NOTIF_SEND = 0xc0182101;
const NOTIF_ID_VALID = 0x40082102;
const NOTIF_SET_FLAGS = 0x40082104;
/** _IOW('!', 3, 24). */
const NOTIF_ADDFD = 0x40182103;
/** The ioctl(2) commands that a Listener uses. */
export const NOTIFY_COMMANDS = {
  SECCOMP_IOCTL_NOTIF_RECV: NOTIF_RECV,
  SECCOMP_IOCTL_NOTIF_SEND: NOTIF_SEND,
  SECCOMP_IOCTL_NOTIF_ID_VALID: NOTIF_ID_VALID,
  SECCOMP_IOCTL_NOTIF_SET_FLAGS: NOTIF_SET_FLAGS,
} as const;
/** Besides: puts a descriptor into the caller's table. */
export const ADD_DESCRIPTOR_COMMAND = { SECCOMP_IOCTL_NOTIF_ADDFD: NOTIF_ADDFD } as const;
const ADDFD_SETFD = 1;
const ADDFD_SEND = 2;
const SECCOMP_RET_USER_NOTIF = 0x7fc0_0000;
const SYNC_WAKE_UP = 1;
const FLAG_CONTINUE = 1;

/** struct seccomp_notif_addfd. */
const ADDFD = { id: 0, flags: 8, source: 12, number: 16, numberFlags: 20, size: 24 } as const;

/** struct seccomp_notif and, behind it, struct seccomp_notif_resp. */
const NOTIF_SIZE = 80;
const RESPONSE = { id: 80, value: 88, error: 96, flags: 100 } as const;
const OFFSET = { id: 0, pid: 8, nr: 16, args: 32 } as const;

/**
 * A descriptor from seccomp(2) with SECCOMP_FILTER_FLAG_NEW_LISTENER, and the call that it has received last, as the kernel saw it in
 * registers: what is said of "the call" holds until the next `receive`.
 */
export class Listener {
  readonly fd: Fd;
  readonly #block = permanentBlock(NOTIF_SIZE + 24);
  readonly #view = this.#block.view;
  readonly #added = permanentBlock(ADDFD.size);

  constructor(fd: Fd) {
    this.fd = fd;
  }

  /**
   * Has the caller of a trapped call run on our CPU and us woken on its: a third of the round trip. Kernels before 6.6 do not know it.
   * @returns whether the kernel does.
   */
  useSyncWakeUp(): boolean {
    return syscall(SYS.ioctl, this.fd.number, NOTIF_SET_FLAGS, SYNC_WAKE_UP) >= 0;
  }

  /** Waits for a call. @returns 0, or the negative errno: ENOENT where the caller died meanwhile, EINTR. */
  receive(): number {
    this.#block.bytes.fill(0, 0, NOTIF_SIZE);
    return syscall(SYS.ioctl, this.fd.number, NOTIF_RECV, this.#block.address);
  }

  /** Ends the call with `result`: a value from 0 on, or a negative errno. @returns 0, or -ENOENT where the caller is gone. */
  answer(result: number): number {
    const response = result < 0 ? this.#respond(0, result, 0) : this.#respond(result, 0, 0);
    return syscall(SYS.ioctl, this.fd.number, NOTIF_SEND, response);
  }

  /** Ends the call with a value of 64 bits, whatever it is. @returns as `answer`. */
  answerWide(value: bigint): number {
    const response = this.#respond(0, 0, 0);
    this.#view.setBigInt64(RESPONSE.value, value, true);
    return syscall(SYS.ioctl, this.fd.number, NOTIF_SEND, response);
  }

  /** Has the kernel run the call itself, with the registers of then and the memory of now. */
  letRun(): number {
    return syscall(SYS.ioctl, this.fd.number, NOTIF_SEND, this.#respond(0, 0, FLAG_CONTINUE));
  }

  /** Whether the caller still waits: what was read of its memory before was the caller's, not that of a new process with the same pid. */
  isWaiting(): boolean {
    return syscall(SYS.ioctl, this.fd.number, NOTIF_ID_VALID, this.#block.address) === 0;
  }

  /** A copy of "the call", for `resume`. */
  save(): Uint8Array {
    return this.#block.bytes.slice(0, NOTIF_SIZE);
  }

  /** Makes a call that has been received before "the call" again. */
  resume(saved: Uint8Array): void {
    this.#block.bytes.set(saved);
  }

  /** Gives the caller a descriptor, under the lowest number that is free, and ends the call with that number. @returns it, or the negative errno: EMFILE, ENOENT. */
  answerWithDescriptor(source: FdLike, closeOnExec: boolean): number {
    return this.#addDescriptor(source, ADDFD_SEND, 0, closeOnExec);
  }

  /** Gives the caller a descriptor, under the lowest number that is free. The call goes on waiting. @returns the number or the negative errno. */
  addDescriptor(source: FdLike, closeOnExec: boolean): number {
    return this.#addDescriptor(source, 0, 0, closeOnExec);
  }

  /** Has the caller's descriptor `number` refer to something else, whatever it was. @returns `number` or the negative errno. */
  replaceDescriptor(source: FdLike, number: number, closeOnExec: boolean): number {
    return this.#addDescriptor(source, ADDFD_SETFD, number, closeOnExec);
  }

  #addDescriptor(source: FdLike, flags: number, number: number, closeOnExec: boolean): number {
    const { view, address } = this.#added;
    view.setUint32(ADDFD.id, this.#view.getUint32(OFFSET.id, true), true);
    view.setUint32(ADDFD.id + 4, this.#view.getUint32(OFFSET.id + 4, true), true);
    view.setUint32(ADDFD.flags, flags, true);
    view.setUint32(ADDFD.source, fdNumber(source), true);
    view.setUint32(ADDFD.number, number, true);
    view.setUint32(ADDFD.numberFlags, closeOnExec ? O_CLOEXEC : 0, true);
    return syscall(SYS.ioctl, this.fd.number, NOTIF_ADDFD, address);
  }

  /** Thread id as the receiver's pid namespace counts; 0 where the thread is not visible from there. */
  get pid(): number {
    return this.#view.getUint32(OFFSET.pid, true);
  }

  get nr(): number {
    return this.#view.getInt32(OFFSET.nr, true);
  }

  /** Argument 0 to 5 as an address or a size; exact below 2^53, above which no address and no size is valid. */
  arg(index: number): number {
    const at = OFFSET.args + 8 * index;
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 0x1_0000_0000;
  }

  /** Argument 0 to 5 as the kernel takes an offset: signed; exact between -2^53 and 2^53. */
  signed(index: number): number {
    const at = OFFSET.args + 8 * index;
    return this.#view.getUint32(at, true) + this.#view.getInt32(at + 4, true) * 0x1_0000_0000;
  }

  /** Argument 0 to 5 with all its bits, signed. */
  wide(index: number): bigint {
    return this.#view.getBigInt64(OFFSET.args + 8 * index, true);
  }

  /** Argument 0 to 5 as the kernel takes an `int`: its low 32 bits, signed. */
  int(index: number): number {
    return this.#view.getInt32(OFFSET.args + 8 * index, true);
  }

  /** Fills in struct seccomp_notif_resp. @returns its address. */
  #respond(value: number, error: number, flags: number): number {
    this.#view.setUint32(RESPONSE.id, this.#view.getUint32(OFFSET.id, true), true);
    this.#view.setUint32(RESPONSE.id + 4, this.#view.getUint32(OFFSET.id + 4, true), true);
    this.#view.setUint32(RESPONSE.value, value % 0x1_0000_0000, true);
    this.#view.setUint32(RESPONSE.value + 4, Math.floor(value / 0x1_0000_0000), true);
    this.#view.setInt32(RESPONSE.error, error, true);
    this.#view.setUint32(RESPONSE.flags, flags, true);
    return this.#block.address + RESPONSE.id;
  }
}

/** Whether this kernel has user notification: it is asked, since a filter may stand in the way of a kernel that has it. Source: seccomp(2). */
export function hasUserNotification(): boolean {
  const SECCOMP_GET_ACTION_AVAIL = 2;
  using s = scratch();
  const action = s.reserve(4);
  action.view.setUint32(0, SECCOMP_RET_USER_NOTIF, true);
  return syscall(SYS.seccomp, SECCOMP_GET_ACTION_AVAIL, 0, action.address) === 0;
}

/** The sizes that this kernel uses; larger ones would not fit what we have. Source: seccomp(2), SECCOMP_GET_NOTIF_SIZES. */
export function checkNotificationSizes(): void {
  const SECCOMP_GET_NOTIF_SIZES = 3;
  const block = permanentBlock(8);
  check(syscall(SYS.seccomp, SECCOMP_GET_NOTIF_SIZES, 0, block.address), "seccomp");
  if (block.view.getUint16(0, true) > NOTIF_SIZE || block.view.getUint16(2, true) > 24) throw new Error("seccomp: this kernel's notifications are larger than those known");
}
