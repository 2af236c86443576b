/**
 * A process that makes system calls in this one's place, so that this one need not wait for them. It has the same memory and descriptors
 * (CLONE_VM, CLONE_FILES), and identity, root, namespaces and filters of its own. A process and not a thread: it may wait in the kernel beyond SIGKILL,
 * and a thread group whose leader is killed does not end before its last thread, nor then the pid namespace whose init it is.
 *
 *   run(calls)   write one byte ---> request ---> the runner makes them in order, until one fails
 *   done         readable       <--- done    <---
 *
 * Machine code, because V8's heap belongs to one thread. It uses no stack.
 */
import { CLONE_FILES, CLONE_VM } from "./abi/sched.ts";
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import type { Fd } from "./fd.ts";
import { pipe } from "./file.ts";
import { le32, le64, mapCode } from "./machine-code.unsafe.ts";
import { permanentBlock, type Addr, type Block } from "./memory.unsafe.ts";
import { ALL_SIGNALS, setSignalMask } from "./signal.ts";
import { functionAt, syscall } from "./syscall.unsafe.ts";

const PAGE = 4096;

/** The block that the two share: descriptors, a byte that is sent, how many calls, and the calls. */
const OFFSET = { request: 0, done: 4, byte: 8, count: 16, calls: 64 } as const;
/** Number, six arguments, result. */
const CALL_SIZE = 64;
const RESULT = 56;
const MOST = 16;

export type CallArgs = readonly (number | bigint)[];

/** read or write of one byte. @param at of the descriptor. */
const move = (nr: number, at: number) => [
  0x8b, 0x7b, at, // mov edi, [rbx+at]
  0x48, 0x8d, 0x73, OFFSET.byte, // lea rsi, [rbx+byte]
  0xba, 1, 0, 0, 0, // mov edx, 1
  0xb8, ...le32(nr), // mov eax, nr
  0x0f, 0x05, // syscall
];

const ARGUMENTS = [
  0x49, 0x8b, 0x45, 0, // mov rax, [r13]
  0x49, 0x8b, 0x7d, 8, // mov rdi, [r13+8]
  0x49, 0x8b, 0x75, 16, // mov rsi, [r13+16]
  0x49, 0x8b, 0x55, 24, // mov rdx, [r13+24]
  0x4d, 0x8b, 0x55, 32, // mov r10, [r13+32]
  0x4d, 0x8b, 0x45, 40, // mov r8, [r13+40]
  0x4d, 0x8b, 0x4d, 48, // mov r9, [r13+48]
];

/** The runner's loop. It ends where the other end of `request` is closed. */
function loop(block: Addr): number[] {
  const wait = move(SYS.read, OFFSET.request);
  const tell = move(SYS.write, OFFSET.done);
  const end = [0x31, 0xff, 0xb8, ...le32(SYS.exit_group), 0x0f, 0x05]; // xor edi, edi; exit_group
  const next = [0x49, 0x83, 0xc5, CALL_SIZE, 0x49, 0xff, 0xcc]; // add r13, CALL_SIZE; dec r12
  const make = [...ARGUMENTS, 0x0f, 0x05, 0x49, 0x89, 0x45, RESULT]; // syscall; mov [r13+RESULT], rax
  const failed = [0x48, 0x85, 0xc0, 0x78, next.length + 2]; // test rax, rax; js to tell
  const each = [...make, ...failed, ...next];
  const again = [0x75, -(each.length + 2)]; // jnz to the next call
  const first = [0x4c, 0x8b, 0x63, OFFSET.count, 0x4c, 0x8d, 0x6b, OFFSET.calls]; // mov r12, [rbx+count]; lea r13, [rbx+calls]
  const body = [...first, ...each, ...again, ...tell];
  const came = [0x83, 0xf8, 1, 0x74, end.length]; // cmp eax, 1; je over the end
  const length = wait.length + came.length + end.length + body.length;
  return [0x48, 0xbb, ...le64(block), ...wait, ...came, ...end, ...body, 0xe9, ...le32(-(length + 5))]; // movabs rbx, block; ...; jmp to wait
}

/** `int f(void)`: clone(CLONE_VM | CLONE_FILES); the parent comes back with the child's pid. */
function birth(block: Addr): number[] {
  return [
    0x53, // push rbx
    0xbf, ...le32(CLONE_VM | CLONE_FILES), // mov edi, flags
    0x31, 0xf6, 0x31, 0xd2, 0x4d, 0x31, 0xd2, 0x4d, 0x31, 0xc0, // xor esi, esi; edx; r10; r8
    0xb8, ...le32(SYS.clone), // mov eax, clone
    0x0f, 0x05, // syscall
    0x85, 0xc0, // test eax, eax
    0x74, 2, // jz to the loop
    0x5b, 0xc3, // pop rbx; ret
    ...loop(block),
  ];
}

export class Runner {
  readonly pid: number;
  /** Readable when the calls have been made. */
  readonly done: Fd;
  readonly #request: Fd;
  readonly #block: Block = permanentBlock(PAGE + 1);

  /** Preconditions: this process makes no further process of its own with the descriptors that it has. @throws SysError */
  constructor() {
    const [theirs, request] = pipe();
    const [done, told] = pipe();
    [this.#request, this.done] = [request, done];
    const { view, address } = this.#block;
    view.setInt32(OFFSET.request, theirs.number, true);
    view.setInt32(OFFSET.done, told.number, true);
    const mask = setSignalMask(ALL_SIGNALS);
    this.pid = check(start(birth(address)), "clone");
    setSignalMask(mask);
    // The table is one: the runner's ends stay open, and it ends with us.
    for (const fd of [theirs, told]) fd.release();
  }

  /** Has the calls made, one after the other, until one fails. What their pointers lead to must stay until they are `finished`. @param calls at most 16, numbers first. */
  run(calls: readonly CallArgs[]): void {
    if (calls.length > MOST) throw new RangeError("too many calls");
    const { view, address } = this.#block;
    for (const [i, call] of calls.entries()) {
      for (let j = 0; j < 7; j++) view.setBigInt64(OFFSET.calls + i * CALL_SIZE + 8 * j, BigInt(call[j] ?? 0), true);
      view.setBigInt64(OFFSET.calls + i * CALL_SIZE + RESULT, 0n, true);
    }
    view.setBigUint64(OFFSET.count, BigInt(calls.length), true);
    check(syscall(SYS.write, this.#request.number, address + OFFSET.byte, 1), "write");
  }

  /** Takes notice that they are; waits for it otherwise. @returns their results, or negative errnos; 0 for those after one that failed. */
  finished(): bigint[] {
    const { view, address } = this.#block;
    check(syscall(SYS.read, this.done.number, address + OFFSET.byte, 1), "read");
    const count = Number(view.getBigUint64(OFFSET.count, true));
    return Array.from({ length: count }, (_, i) => view.getBigInt64(OFFSET.calls + i * CALL_SIZE + RESULT, true));
  }
}

/** SAFETY: the code keeps to the C calling convention in the parent, and in the child never returns; it stays mapped. */
function start(code: readonly number[]): number {
  return functionAt(mapCode(code))();
}
