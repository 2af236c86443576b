/**
 * Calls on file systems that may not answer. The sentry has but one thread, which must not wait for one: what it asks of a volume a process of its own
 * asks (linux/runner.unsafe.ts), one for each gofer that serves volumes, and the guest's call is left unanswered meanwhile.
 *
 *   handler ---> openat2, pwrite64 ... on a volume ---> not made yet: sent off, and the handler is left (SENT)
 *   later   ---> the same handler from the start   ---> made: its result again; the next one is sent off; ...
 *
 * So a handler is written as if calls were made at once. Those of them that have an effect must be made by on-behalf.ts: only these are made once.
 */
import { SYS } from "../../../linux/arch.ts";
import { EPERM } from "../../../linux/abi/errno.ts";
import { O_PATH } from "../../../linux/abi/fcntl.ts";
import { CAPABILITY_HEADER, capabilityData } from "../../../linux/credentials.ts";
import { check } from "../../../linux/errors.ts";
import type { Fd } from "../../../linux/fd.ts";
import { madeBy, type Maker } from "../../../linux/made-by.ts";
import { bytesAt, permanentBlock } from "../../../linux/memory.unsafe.ts";
import { CLONE_NEW } from "../../../linux/namespace.ts";
import { Runner, type CallArgs } from "../../../linux/runner.unsafe.ts";
import { filterProgram, SECCOMP_SET_MODE_FILTER } from "../../../linux/seccomp.ts";
import { syscall } from "../../../linux/syscall.unsafe.ts";
import type { Acting, Powers } from "../tasks/acting.ts";
import { BUFFER_SIZE } from "../memory.ts";
import type { Held, Trapped } from "../trapped.ts";
import { pack, type Packed } from "./signatures.ts";

/** Thrown through a handler whose call waits for an errand. */
export const SENT = Symbol("sent");

/** Room for data, and for names and structures besides. */
const DATA_SIZE = BUFFER_SIZE + 0x1_0000;
const LAST_ERRNO = 4095n;

interface Made {
  readonly key: string;
  readonly result: number;
  readonly outs: readonly { readonly index: number; readonly bytes: Uint8Array }[];
}

interface Errand {
  readonly calls: (block: Data) => readonly CallArgs[];
  readonly fds: readonly number[];
  readonly trip: Trip | undefined;
  readonly packed?: Packed;
  readonly powers?: Powers;
  /** To be closed when it is done. */
  readonly held?: readonly Fd[];
}

/** What a guest's call has had done so far. */
export class Trip implements Held {
  readonly made: Made[] = [];
  /** How much of it the handler has come by, this time. */
  at = 0;
  pending: string | undefined;
  /** Descriptors that were opened; whether only their names are (O_PATH). */
  readonly opened = new Map<number, boolean>();
  /** What the handler has closed. It may look at them when it runs again: they are closed when it has come to its end. */
  readonly closed = new Map<number, Desk>();
  mask: number | undefined;
  isWanted = true;
  /** The call, to be resumed. */
  readonly saved: Uint8Array;
  readonly pid: number;
  readonly #call: Trapped;
  readonly #leave: (trip: Trip) => void;

  constructor(call: Trapped, leave: (trip: Trip) => void) {
    this.#call = call;
    this.saved = call.save();
    this.pid = call.pid;
    this.#leave = leave;
  }

  /** Whether the caller still waits, whatever call is being handled. */
  isAwaited(): boolean {
    if (!this.isWanted) return false;
    const current = this.#call.save();
    this.#call.resume(this.saved);
    const isWaiting = this.#call.isWaiting();
    this.#call.resume(current);
    return isWaiting;
  }

  /** Interrupted. The call may be made again: then it goes on here. */
  abandon(): void {
    this.#leave(this);
  }

  add(made: Made, { nr, pieces }: Packed): void {
    this.made.push(made);
    if (nr === SYS.openat2 && made.result >= 0) this.opened.set(made.result, opensName(pieces));
  }

  /** The guest has changed its memory meanwhile, and the handler wants something else than before. */
  forgetRest(): void {
    const rest = this.made.splice(this.at);
    for (const { key, result } of rest) if (key.startsWith(`${SYS.openat2}\n`) && result >= 0 && this.opened.delete(result) && !this.closed.delete(result)) syscall(SYS.close, result);
  }

  /** Closes what its handler has, which has come to its end. */
  end(): void {
    for (const [fd, desk] of this.closed) {
      if (this.opened.get(fd) === true) syscall(SYS.close, fd);
      else desk.close(fd);
    }
  }

  /** Gives up what was opened. */
  drop(): void {
    this.isWanted = false;
    for (const fd of this.opened.keys()) if (!this.closed.has(fd)) syscall(SYS.close, fd);
    this.end();
  }
}

/** Memory for the pointers of calls. */
class Data {
  readonly #block = permanentBlock(DATA_SIZE);
  #top = 0;

  clear(): void {
    this.#top = 0;
  }

  /** @returns its address. */
  reserve(size: number, bytes?: Uint8Array): number {
    const at = this.#top;
    this.#top = (at + size + 7) & ~7;
    if (this.#top > DATA_SIZE) throw new RangeError("errand: no room");
    if (bytes !== undefined) this.#block.bytes.set(bytes, at);
    return this.#block.address + at;
  }
}

/** The place of one gofer: what waits there, one after the other. */
export class Desk {
  readonly runner = new Runner();
  readonly maker: Maker;
  readonly #data = new Data();
  readonly #queue: Errand[] = [];
  #running: (Errand & { readonly made: readonly CallArgs[]; readonly addresses: readonly number[] }) | undefined;
  #powers: Powers | undefined;
  #mask: number | undefined;
  #mayTakeGroups = true;
  readonly #errands: Errands;

  constructor(errands: Errands) {
    this.#errands = errands;
    this.maker = (nr, args) => errands.make(this, nr, args);
  }

  /** @param filter struct sock_filter[]: the sentry's own. Preconditions: no_new_privs. @throws SysError */
  confine(filter: Uint8Array): void {
    const program = filterProgram(filter.length, this.#data.reserve(filter.length, filter));
    this.runner.run([[SYS.seccomp, SECCOMP_SET_MODE_FILTER, 0, this.#data.reserve(program.length, program)]]);
    check(Number(this.runner.finished()[0]), "seccomp");
  }

  /** To a root, as the sentry itself goes. @param user a pidfd into whose user namespace it goes before. */
  enter(root: number, proc: Fd, user: Fd | undefined, held: readonly Fd[] = []): void {
    const before: CallArgs[] = user === undefined ? [] : [[SYS.setns, user.number, CLONE_NEW.user]];
    const calls = (data: Data): CallArgs[] => [...before, [SYS.fchdir, root], [SYS.chroot, data.reserve(2, Buffer.from(".\0"))], [SYS.fchdir, proc.number]];
    this.#powers = undefined;
    this.send({ calls, fds: [], trip: undefined, held, ...(user === undefined && { powers: this.#errands.powers }) });
  }

  /** @param fds that it names: they stay open. */
  send(errand: Errand): void {
    this.#queue.push(errand);
    this.dispatch();
  }

  /** Behind what is under way. */
  close(fd: number): void {
    this.send({ calls: () => [[SYS.close, fd]], fds: [], trip: undefined });
  }

  /** Whether something under way names the descriptor. */
  uses(fd: number): boolean {
    return this.#running?.fds.includes(fd) === true || this.#queue.some(({ fds }) => fds.includes(fd));
  }

  dispatch(): void {
    while (this.#running === undefined) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      if (next.trip === undefined || next.trip.isAwaited()) this.#start(next);
      else {
        next.trip.pending = undefined;
        this.#letGo(next);
      }
    }
  }

  #start(errand: Errand): void {
    this.#data.clear();
    const before = errand.powers === undefined ? [] : this.#become(errand.powers, errand.trip?.mask);
    const addresses = errand.packed?.pieces.map(({ size, bytes }) => this.#data.reserve(size, bytes)) ?? [];
    const made = [...before, ...errand.calls(this.#data), ...(errand.packed === undefined ? [] : [withAddresses(errand.packed, addresses)])];
    this.#running = { ...errand, made, addresses };
    this.runner.run(made);
  }

  /** As whom it acts: the sentry's identity of when the errand was sent (tasks/acting.ts). */
  #become(powers: Powers, mask: number | undefined): CallArgs[] {
    const calls: CallArgs[] = mask === undefined || mask === this.#mask ? [] : [[SYS.umask, mask]];
    this.#mask = mask ?? this.#mask;
    if (powers === this.#powers) return calls;
    this.#powers = powers;
    const { identity: { uid, gid, groups }, effective, permitted, takesGroups } = powers;
    const list = new Uint8Array(Uint32Array.from(groups).buffer);
    const capabilities = [CAPABILITY_HEADER, capabilityData({ effective, permitted, inheritable: 0n })].map((bytes) => this.#data.reserve(bytes.length, bytes));
    const ids: CallArgs[] = [[SYS.setfsuid, uid], [SYS.setfsgid, gid]];
    const own: CallArgs[] = takesGroups && this.#mayTakeGroups ? [[SYS.setgroups, groups.length, this.#data.reserve(Math.max(list.length, 4), list)]] : [];
    return [...calls, ...ids, ...own, [SYS.capset, ...capabilities]];
  }

  /** The runner has made the calls. */
  finished(): void {
    const running = this.#running;
    const results = this.runner.finished();
    this.#running = undefined;
    if (running === undefined) return;
    const failed = results.findIndex((result) => result < 0n);
    // Its user namespace may know no other groups (tasks/acting.ts).
    if (failed >= 0 && running.made[failed]?.[0] === SYS.setgroups && results[failed] === BigInt(-EPERM)) {
      this.#mayTakeGroups = false;
      this.#powers = undefined;
      this.#start(running);
      return;
    }
    if (failed >= 0 && failed < results.length - 1) this.#powers = this.#mask = undefined;
    const result = failed >= 0 ? results[failed]! : (results.at(-1) ?? 0n);
    this.#tell(running, result, running.addresses);
    this.#letGo(running);
    this.dispatch();
  }

  #tell({ trip, packed }: Errand, result: bigint, addresses: readonly number[]): void {
    if (trip === undefined || packed === undefined) return;
    const isFailure = result < 0n && result >= -LAST_ERRNO;
    const outs = packed.pieces.flatMap(({ index, bytes, size }, i) => (bytes !== undefined || isFailure ? [] : [{ index, bytes: bytesAt(addresses[i]!, lengthOf(packed.nr, result, size)).slice() }]));
    this.#errands.made(trip, packed, { key: packed.key, result: narrow(result), outs });
  }

  #letGo({ held = [] }: Errand): void {
    for (const fd of held) fd.close();
    this.#errands.closeDeferred();
  }
}

/** Of data, as much as there is; of a structure all. */
const SIZED: ReadonlySet<number> = new Set([SYS.read, SYS.pread64, SYS.getdents64, SYS.readlinkat, SYS.getxattr, SYS.listxattr]);
const lengthOf = (nr: number, result: bigint, size: number): number => (SIZED.has(nr) ? Math.min(Number(result), size) : size);
/** As koffi has it: a number where that is exact. */
const narrow = (result: bigint): number => (Number.isSafeInteger(Number(result)) ? Number(result) : (result as unknown as number));
const withAddresses = ({ nr, args, pieces }: Packed, addresses: readonly number[]): CallArgs => [nr, ...args.map((arg, i) => addresses[pieces.findIndex(({ index }) => index === i)] ?? arg)];

/** Whether openat2(2) is to open a name, and not what it means. */
function opensName(pieces: Packed["pieces"]): boolean {
  const how = pieces.find(({ index }) => index === 2)?.bytes;
  return how !== undefined && (new DataView(how.buffer, how.byteOffset).getUint32(0, true) & O_PATH) !== 0;
}

export interface ErrandsOptions {
  readonly acting: Acting;
  /** The sentry's own procfs, where links lead to what is open already. */
  readonly proc: Fd;
  /** Has the call that waits for the trip handled again. */
  readonly wake: (trip: Trip) => void;
}

export class Errands {
  readonly #options: ErrandsOptions;
  /** That of the call that is being handled. */
  #trip: Trip | undefined;
  #call: Trapped | undefined;
  /** Of calls that were interrupted, by task. */
  readonly #left = new Map<number, Trip>();
  readonly #desks: Desk[] = [];
  readonly #deferred = new Map<Fd, Desk | undefined>();

  constructor(options: ErrandsOptions) {
    this.#options = options;
  }

  get powers(): Powers {
    return this.#options.acting.powers;
  }

  get desks(): readonly Desk[] {
    return this.#desks;
  }

  add(): Desk {
    const desk = new Desk(this);
    this.#desks.push(desk);
    return desk;
  }

  /** A call is about to be handled. */
  begin(call: Trapped, held: Held | undefined): void {
    madeBy(undefined);
    this.#call = call;
    this.#trip = held instanceof Trip ? held : this.#resumed(call);
    if (this.#trip !== undefined) this.#trip.at = 0;
  }

  /** The trip that this very call was on when a signal interrupted it. */
  #resumed(call: Trapped): Trip | undefined {
    const left = this.#left.get(call.pid);
    if (left === undefined) return undefined;
    this.#left.delete(call.pid);
    // struct seccomp_notif: but for its id, the same.
    const ID_SIZE = 8;
    const saved = call.save();
    if (Buffer.compare(left.saved.subarray(ID_SIZE), saved.subarray(ID_SIZE)) !== 0) {
      left.drop();
      return undefined;
    }
    left.saved.set(saved);
    return left;
  }

  /** It has been. What it has opened is its handler's. @returns the trip where it goes on. */
  end(isSent: boolean): Trip | undefined {
    madeBy(undefined);
    const trip = this.#trip;
    this.#trip = undefined;
    if (isSent) return trip;
    trip?.end();
    return undefined;
  }

  /** A system call of a handler's. @throws SENT where it has to wait. */
  make(desk: Desk, nr: number, args: readonly number[]): number {
    const packed = pack(nr, args);
    if (packed === undefined && nr !== SYS.umask) return syscall(nr, ...args);
    if (this.#call === undefined) return syscall(nr, ...args);
    const trip = (this.#trip ??= new Trip(this.#call, (left) => this.#leave(left)));
    // Its own for each process: it goes along with the next one.
    if (packed === undefined) return (trip.mask = args[0] ?? 0);
    const known = trip.made[trip.at];
    if (known?.key === packed.key) return this.#again(trip, known, args);
    trip.forgetRest();
    if (trip.pending === packed.key) throw SENT;
    const isClosing = nr === SYS.close && trip.opened.has(Number(args[0]));
    if (isClosing) trip.closed.set(Number(args[0]), desk);
    else if (!this.#isQuick(packed)) this.#send(desk, trip, packed);
    const made = { key: packed.key, result: isClosing ? 0 : syscall(nr, ...args), outs: [] };
    trip.add(made, packed);
    return this.#again(trip, made, args);
  }

  /** Nothing is asked of a file system where the name alone is opened of what is open already, as a working directory. */
  #isQuick({ nr, args, pieces }: Packed): boolean {
    return nr === SYS.openat2 && args[0] === this.#options.proc.number && opensName(pieces);
  }

  #again(trip: Trip, { result, outs }: Made, args: readonly number[]): number {
    trip.at++;
    for (const { index, bytes } of outs) bytesAt(args[index] ?? 0, bytes.length).set(bytes);
    return result;
  }

  #send(desk: Desk, trip: Trip, packed: Packed): never {
    trip.pending = packed.key;
    desk.send({ calls: () => [], packed, fds: packed.fds, trip, powers: this.powers });
    throw SENT;
  }

  made(trip: Trip, packed: Packed, made: Made): void {
    if (!trip.isWanted || trip.pending !== packed.key) {
      if (packed.nr === SYS.openat2 && made.result >= 0) syscall(SYS.close, made.result);
      return;
    }
    trip.pending = undefined;
    trip.add(made, packed);
    this.#options.wake(trip);
  }

  #leave(trip: Trip): void {
    this.#left.get(trip.pid)?.drop();
    this.#left.set(trip.pid, trip);
  }

  /** The task is gone. */
  forget(task: number): void {
    this.#left.get(task)?.drop();
    this.#left.delete(task);
  }

  /** Closes a file of the sentry's when nothing under way names it; where that may wait (FUSE_FLUSH), by an errand of its own. */
  close(fd: Fd, desk: Desk | undefined): void {
    this.#deferred.set(fd, desk);
    this.closeDeferred();
  }

  closeDeferred(): void {
    for (const [fd, desk] of this.#deferred) {
      if (this.#desks.some((one) => one.uses(fd.number))) continue;
      this.#deferred.delete(fd);
      if (desk === undefined) fd.close();
      else {
        desk.close(fd.release());
      }
    }
  }
}
