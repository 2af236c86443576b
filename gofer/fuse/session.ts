/**
 * One FUSE connection: takes a request that lies in a buffer, asks the file system, leaves the reply in another buffer. It knows nothing of
 * where requests come from (see transport.ts), and takes every byte for hostile: in `vm` mode a guest kernel writes them.
 */
import * as v from "valibot";
import { EAGAIN, EINTR, EINVAL, EIO, ENOSYS, EROFS } from "../../linux/abi/errno.ts";
import type { Block } from "../../linux/memory.unsafe.ts";
import { INIT_IN, INTERRUPT_IN, OP, type OpName } from "./abi.ts";
import { Call, NO_REPLY, type Operation } from "./call.ts";
import type { FileSystem } from "./file-system.ts";
import { negotiate, type Agreement } from "./negotiate.ts";
import { fileOperations } from "./operations-files.ts";
import { lockOperations } from "./operations-locks.ts";
import { nameOperations } from "./operations-names.ts";
import { xattrOperations } from "./operations-xattrs.ts";
import { Reply } from "./reply.ts";
import { Request } from "./request.ts";

/** Operations by name; those that are missing are answered ENOSYS. */
const operations: Partial<Record<OpName, Operation>> = { ...nameOperations, ...fileOperations, ...xattrOperations, ...lockOperations };
const LAST_OP = Math.max(...Object.values(OP));
const byNumber: (Operation | undefined)[] = Array.from({ length: LAST_OP + 1 });
for (const [name, operation] of Object.entries(operations)) byNumber[OP[name as OpName]] = operation;

/** Requests that never get a reply, whatever is wrong with them. */
const SILENT: readonly number[] = [OP.FORGET, OP.BATCH_FORGET, OP.INTERRUPT];

const MUTATING: readonly number[] = [
  OP.SETATTR, OP.SYMLINK, OP.MKNOD, OP.MKDIR, OP.UNLINK, OP.RMDIR, OP.RENAME, OP.RENAME2, OP.LINK, OP.WRITE, OP.SETXATTR, OP.REMOVEXATTR,
  OP.CREATE, OP.FALLOCATE, OP.COPY_FILE_RANGE, OP.TMPFILE,
];

/** More than that get EAGAIN, as if they had not wanted to wait. */
const MAX_WAITING = 1024;

const savedSession = v.strictObject({ agreement: v.optional(v.strictObject({ minor: v.number(), flags: v.number() })), fileSystem: v.optional(v.unknown()) });

type State = { readonly kind: "new" } | { readonly kind: "open"; readonly agreement: Agreement } | { readonly kind: "ended" };

export class Session {
  readonly fileSystem: FileSystem;
  /** Requests by opcode, for `debug`. */
  readonly counts = new Uint32Array(LAST_OP + 1);
  readonly #request: Request;
  readonly #reply: Reply;
  readonly #call: Call;
  #state: State = { kind: "new" };

  /** @param request, reply buffers of at least MAX_WRITE and 4096 bytes, which may be shared with other sessions. */
  constructor(fileSystem: FileSystem, request: Block, reply: Block) {
    this.fileSystem = fileSystem;
    this.#request = new Request(request);
    this.#reply = new Reply(reply);
    this.#call = new Call(fileSystem, this.#request, this.#reply);
  }

  /** What FUSE_INIT has led to; undefined before it and after the end. */
  get agreement(): Agreement | undefined {
    return this.#state.kind === "open" ? this.#state.agreement : undefined;
  }

  /** What another session needs to go on from here: JSON. @throws Error where that cannot be */
  save(): unknown {
    if (this.hasWaiting) throw new Error("somebody waits for a file lock");
    const { agreement } = this;
    return { agreement, fileSystem: agreement === undefined ? undefined : this.fileSystem.save?.() };
  }

  /** Goes on from what another has saved. @throws Error where it is no such thing, or this session has begun */
  restore(state: unknown): void {
    const { agreement, fileSystem } = v.parse(savedSession, state);
    if (this.#state.kind !== "new") throw new Error("the session has begun");
    if (agreement === undefined) return;
    this.#state = { kind: "open", agreement };
    this.fileSystem.restore?.(fileSystem);
  }

  /**
   * Answers the request in the first `length` bytes of the request buffer.
   * @param capacity how long a reply the other side takes, header included; at least 16.
   * @returns the reply's length, 0 for none.
   */
  handle(length: number, capacity: number): number {
    const request = this.#request;
    if (!request.begin(length)) return 0;
    const { opcode } = request;
    this.#reply.begin(capacity);
    const result = this.#keepWaiting(opcode, this.#run(opcode));
    if (result === NO_REPLY || SILENT.includes(opcode)) return 0;
    if (result < 0) return this.#reply.finish(request.uniqueLow, request.uniqueHigh, result, 0);
    return this.#reply.finish(request.uniqueLow, request.uniqueHigh, 0, result);
  }

  /** Requests that wait for a lock, by their number. */
  readonly #waiting = new Map<string, Uint8Array>();

  /** Whether some wait: `retryWaiting` is to be called again soon. */
  get hasWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  #keepWaiting(opcode: number, result: number): number {
    const request = this.#request;
    if (opcode === OP.INTERRUPT) this.#interrupt();
    if (opcode !== OP.SETLKW || result !== -EAGAIN || this.#waiting.size >= MAX_WAITING) return result;
    this.#waiting.set(`${request.uniqueHigh}:${request.uniqueLow}`, request.copy());
    return NO_REPLY;
  }

  /** Whoever has been told to give up is answered EINTR at the next `retryWaiting`. */
  #interrupt(): void {
    if (this.#request.payload < INTERRUPT_IN.size) return;
    const key = `${this.#request.u32(4)}:${this.#request.u32(0)}`;
    if (this.#waiting.has(key)) this.#interrupted.push(key);
  }

  readonly #interrupted: string[] = [];

  /** Asks again for what has had to wait. @returns the length of a reply that is due now, 0 for none; to be called until it is 0. */
  retryWaiting(capacity: number): number {
    for (const [key, message] of this.#waiting) {
      this.#request.restore(message);
      this.#reply.begin(capacity);
      const result = this.#interrupted.includes(key) ? -EINTR : this.#run(OP.SETLKW);
      if (result === -EAGAIN) continue;
      this.#waiting.delete(key);
      return this.#reply.finish(this.#request.uniqueLow, this.#request.uniqueHigh, Math.min(result, 0), 0);
    }
    this.#interrupted.length = 0;
    return 0;
  }

  #run(opcode: number): number {
    if (opcode <= LAST_OP) this.counts[opcode] = (this.counts[opcode] ?? 0) + 1;
    if (this.#state.kind !== "open") return opcode === OP.INIT && this.#state.kind === "new" ? this.#negotiate() : -EIO;
    if (opcode === OP.DESTROY) return this.#destroy();
    const operation = byNumber[opcode];
    if (operation === undefined) return -ENOSYS;
    if (this.#request.payload < operation.atLeast) return -EINVAL;
    if (this.fileSystem.features.readOnly === true && MUTATING.includes(opcode)) return -EROFS;
    const { caller } = this.#call;
    caller.uid = this.#request.uid;
    caller.gid = this.#request.gid;
    caller.pid = this.#request.pid;
    const result = this.#checked(operation.run(this.#call));
    if (this.fileSystem.changes !== undefined && MUTATING.includes(opcode)) this.fileSystem.changes.discard();
    return result;
  }

  /** The protocol takes errnos from 1 to 511 or so, and no more than what fits. */
  #checked(result: number): number {
    if (result === NO_REPLY) return result;
    return result < -4095 || result > this.#reply.room ? -EIO : result;
  }

  #negotiate(): number {
    if (this.#request.payload < INIT_IN.flags + 4) return -EINVAL;
    return this.#checked(negotiate(this.#call, (agreement) => (this.#state = { kind: "open", agreement })));
  }

  #destroy(): number {
    this.end();
    return 0;
  }

  /** Gives up all that the file system holds. A second call does nothing. */
  end(): void {
    if (this.#state.kind === "ended") return;
    this.#state = { kind: "ended" };
    this.fileSystem.destroy?.();
  }
}
