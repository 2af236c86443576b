/**
 * What all sockets of the guest's have in common. The sentry plays those of AF_UNIX itself (unix*.ts); of the others it holds one of the
 * kernel's, in the guest's network namespace (host.ts).
 */
import { O_NONBLOCK, O_RDWR } from "../../../linux/abi/fcntl.ts";
import { SOCK_STREAM, SOL_SOCKET } from "../../../linux/abi/socket.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import { Description } from "../objects/description.ts";
import { signed, small } from "../memory.ts";
import { Progress } from "../objects/progress.ts";
import { nextInode, putStat } from "../objects/stat.ts";
import type { Strict } from "../strict.ts";
import type { Credentials } from "../tasks/tasks.ts";
import type { Trapped } from "../trapped.ts";
import type { Rights } from "./rights.ts";

export interface Outgoing {
  /** Bytes at the start of `buffer`. */
  readonly size: number;
  /** MSG_*. */
  readonly flags: number;
  /** struct sockaddr. */
  readonly to: Uint8Array | undefined;
  /** struct cmsghdr one after the other; may be empty. */
  readonly control: Uint8Array;
}

export interface Incoming {
  /** Bytes at the start of the block. */
  readonly size: number;
  /** Of the whole message, of which the rest is lost. */
  readonly length: number;
  /** MSG_* that recvmsg(2) tells. */
  readonly flags: number;
  /** struct sockaddr; empty where there is none to tell. */
  readonly from: Uint8Array;
  /** As the kernel has told it. */
  readonly control: Uint8Array;
  readonly rights: Rights | undefined;
  /** Who has sent it; undefined where the receiver has not asked for that. */
  readonly credentials: Credentials | undefined;
}

export const NOTHING = new Uint8Array(0);

const FIOASYNC = 0x5452;
const S_IFSOCK = 0o140000;
/** SO_RCVTIMEO, SO_SNDTIMEO, and the same with 64 bits, which are as long here. */
const RECEIVE_TIMEOUT: readonly number[] = [20, 66];
const SEND_TIMEOUT: readonly number[] = [21, 67];
const TIMEVAL_SIZE = 16;

export abstract class Socket extends Description {
  readonly family: number;
  readonly type: number;
  readonly #inode = nextInode();
  readonly progress = new Progress();
  #owner = 0;
  /** Milliseconds; Infinity for none. */
  receiveTimeout = Infinity;
  sendTimeout = Infinity;
  /** Whose change is worth another try after -EAGAIN of `send` or `connect`. */
  blocker: Description = this;

  constructor(family: number, type: number, flags: number) {
    super(O_RDWR | (flags & O_NONBLOCK));
    this.family = family;
    this.type = type;
  }

  /** F_SETOWN, F_GETOWN: whom SIGIO is for, which is not sent here. @param owner the new one. */
  owned(owner: number | undefined): number {
    if (owner === undefined) return this.#owner;
    this.#owner = owner;
    return 0;
  }

  /** That SIGIO is wanted is taken note of: nginx does not start a worker without. */
  override control(call: Trapped, command: number): number {
    return command === FIOASYNC ? 0 : this.controlSocket(call, command);
  }

  protected abstract controlSocket(call: Trapped, command: number): number;

  get isStream(): boolean {
    return this.type === SOCK_STREAM;
  }

  /** Calls' results are 0 or more, or the negative errno. @param address struct sockaddr */
  abstract bind(call: Trapped, strict: Strict, address: Uint8Array): number;
  /** @returns -EAGAIN where it may work after a change of `blocker`, -EINPROGRESS or -EALREADY where it goes on by itself. */
  abstract connect(call: Trapped, strict: Strict, address: Uint8Array): number;
  abstract listen(call: Trapped, strict: Strict, backlog: number): number;
  abstract accept(strict: Strict, flags: number): Socket | number;
  /** Of what is in `buffer`. @returns bytes, -EAGAIN where a change of `blocker` is to be waited for. */
  abstract send(call: Trapped, strict: Strict, message: Outgoing): number;
  /** @param flags MSG_*; it never waits. @returns -EAGAIN where there is nothing now. */
  abstract receive(into: Block, size: number, flags: number): Incoming | number;
  /** The guest has not got the last message, which was received with `bytes`. */
  abstract unreceive(message: Incoming, bytes: Uint8Array): void;
  /** @param how of SHUT. */
  abstract shutdown(how: number): number;
  abstract name(): Uint8Array | number;
  abstract peerName(): Uint8Array | number;
  /** Puts the value at the start of `small`. @param size the room for it. @returns its size. */
  abstract getOption(call: Trapped, strict: Strict, level: number, option: number, size: number): number;
  /** The value is at the start of `small`. */
  abstract setOption(call: Trapped, strict: Strict, level: number, option: number, size: number): number;

  /** Of a time limit, which is ours to keep. @returns whether it is that option. */
  protected keepTimeout(level: number, option: number, size: number): boolean {
    const isReceive = RECEIVE_TIMEOUT.includes(option);
    if (level !== SOL_SOCKET || (!isReceive && !SEND_TIMEOUT.includes(option)) || size < TIMEVAL_SIZE) return false;
    const limit = signed(small, 0) * 1000 + signed(small, 8) / 1000;
    if (isReceive) this.receiveTimeout = limit > 0 ? limit : Infinity;
    else this.sendTimeout = limit > 0 ? limit : Infinity;
    return true;
  }

  override read(into: Block, size: number): number {
    const message = this.receive(into, size, 0);
    return typeof message === "number" ? message : message.size;
  }

  /** Preconditions: `from` is `buffer`. For sendfile(2). */
  abstract override write(from: Block, size: number): number;

  stat(into: Block): number {
    return putStat(into, { mode: S_IFSOCK | 0o777, inode: this.#inode });
  }
}

