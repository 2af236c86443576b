/**
 * The thread of a vCPU: KVM_RUN in a loop, in machine code, because it must not be V8. A second V8 for each vCPU would take a third of the machine's start and 10 MiB;
 * and a thread that is not V8's can be stopped anywhere. What the guest asks for is answered by the thread that has made this one:
 *
 *   this thread                                      the owner
 *   KVM_RUN returns, result and state `parked`
 *   eventfd += 1            ─────────────────────▶   poll returns; reads the result and struct kvm_run, answers
 *   futex wait on `go`      ◀─────────────────────   state `running`, go = 1, futex wake
 *
 * But for the two registers that a guest touches at every interrupt of virtio-mmio (virtio 1.2, 4.2.2): InterruptStatus and InterruptACK of a row of windows
 * are words in memory, and answered here.
 *
 * A signal ends KVM_RUN: every one is blocked in the thread, and KVM unblocks one of them for the time of KVM_RUN (KVM_SET_SIGNAL_MASK). It stays pending after
 * that, and is taken from a signalfd.
 */
import * as kvm from "./abi/kvm.ts";
import { EINTR } from "./abi/errno.ts";
import { SYS } from "./arch.ts";
import { SysError } from "./errors.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { RUN } from "./kvm-structs.ts";
import { le32, mapCode } from "./machine-code.unsafe.ts";
import { permanentBlock, type Block } from "./memory.unsafe.ts";
import { ALL_SIGNALS, setSignalMask } from "./signal.ts";
import { createThread, syscall } from "./syscall.unsafe.ts";

/** Offsets in what both threads see. */
const AT = { go: 0, state: 4, result: 8, thread: 12, vcpu: 16, doorbell: 20, signals: 24, run: 32, words: 40, one: 48, signalInfo: 64 } as const;
const SIZE = 192;
const SIGNAL_INFO_SIZE = 128;

const GO_RUN = 1;
const GO_END = 2;
const RUNNING = 1;
const PARKED = 2;

const FUTEX_WAIT_PRIVATE = 128;
const FUTEX_WAKE_PRIVATE = 129;
const STACK_SIZE = 256 << 10;
const PAGE = 4096;

/** A row of pages in the guest's memory, of which each has the two registers. */
export interface InterruptRegisters {
  /** Guest-physical, below 4 GiB. */
  readonly start: number;
  /** Pages. */
  readonly count: number;
  /** Offsets in a page. */
  readonly status: number;
  readonly acknowledge: number;
}

const call = (nr: number) => [0xb8, ...le32(nr), 0x0f, 0x05]; // mov eax, nr; syscall

type Label = "park" | "stop" | "wait" | "go" | "run" | "drain" | "failed" | "acknowledge" | "end";
type Part = readonly number[] | { readonly label: Label } | { readonly jump: readonly number[]; readonly to: Label };

const jump = (to: Label): Part => ({ jump: [0xe9], to });
const when = (condition: number, to: Label): Part => ({ jump: [0x0f, condition], to });
const [BELOW_NOT, EQUAL, NOT_EQUAL, GREATER] = [0x83, 0x84, 0x85, 0x8f];

/** RBX: what both see, from RDI. R12: struct kvm_run. R13: the words of the registers. */
function parts({ start, count, status, acknowledge }: InterruptRegisters): readonly Part[] {
  return [
    [0x53, 0x41, 0x54, 0x41, 0x55], // push rbx, r12, r13
    [0x48, 0x89, 0xfb], // mov rbx, rdi
    [0x4c, 0x8b, 0x63, AT.run, 0x4c, 0x8b, 0x6b, AT.words], // mov r12, [run]; mov r13, [words]
    call(SYS.gettid),
    [0x89, 0x43, AT.thread, 0xb8, ...le32(-EINTR)], // mov [thread], eax; mov eax, -EINTR
    { label: "park" },
    [0x89, 0x43, AT.result], // mov [result], eax
    { label: "stop" },
    [0xc7, 0x43, AT.state, ...le32(PARKED)], // mov dword [state], PARKED
    [0x8b, 0x7b, AT.doorbell, 0x48, 0x8d, 0x73, AT.one, 0xba, ...le32(8), ...call(SYS.write)], // write(doorbell, one, 8)
    { label: "wait" },
    [0x31, 0xc0, 0x87, 0x03, 0x85, 0xc0], // xor eax, eax; xchg [go], eax; test eax, eax
    when(NOT_EQUAL, "go"),
    [0x48, 0x89, 0xdf, 0xbe, ...le32(FUTEX_WAIT_PRIVATE), 0x31, 0xd2, 0x45, 0x31, 0xd2, ...call(SYS.futex)], // futex(go, WAIT, 0, no limit)
    jump("wait"),
    { label: "go" },
    [0x83, 0xf8, GO_END], // cmp eax, GO_END
    when(EQUAL, "end"),
    { label: "run" },
    [0x8b, 0x7b, AT.vcpu, 0xbe, ...le32(kvm.KVM_RUN), 0x31, 0xd2, ...call(SYS.ioctl)], // ioctl(vcpu, KVM_RUN, 0)
    [0x85, 0xc0], // test eax, eax
    when(NOT_EQUAL, "failed"),
    [0x41, 0x83, 0x7c, 0x24, RUN.exitReason, kvm.KVM_EXIT_MMIO], // cmp dword [r12+exit reason], MMIO
    when(NOT_EQUAL, "park"),
    [0x41, 0x83, 0x7c, 0x24, RUN.mmio.length, 4], // cmp dword [r12+length], 4
    when(NOT_EQUAL, "park"),
    [0x49, 0x8b, 0x54, 0x24, RUN.mmio.address, 0xb9, ...le32(start), 0x48, 0x29, 0xca], // mov rdx, [r12+address]; mov ecx, start; sub rdx, rcx
    [0x48, 0x81, 0xfa, ...le32(count * PAGE)], // cmp rdx, size of the row
    when(BELOW_NOT, "park"),
    [0x89, 0xd1, 0x81, 0xe1, ...le32(PAGE - 1), 0xc1, 0xea, 12], // mov ecx, edx; and ecx, PAGE-1; shr edx, 12
    [0x83, 0xf9, status], // cmp ecx, status
    when(NOT_EQUAL, "acknowledge"),
    [0x41, 0x80, 0x7c, 0x24, RUN.mmio.isWrite, 0], // cmp byte [r12+is write], 0
    when(NOT_EQUAL, "park"),
    [0x41, 0x8b, 0x4c, 0x95, 0, 0x41, 0x89, 0x4c, 0x24, RUN.mmio.data], // mov ecx, [r13+rdx*4]; mov [r12+data], ecx
    jump("run"),
    { label: "acknowledge" },
    [0x83, 0xf9, acknowledge], // cmp ecx, acknowledge
    when(NOT_EQUAL, "park"),
    [0x41, 0x80, 0x7c, 0x24, RUN.mmio.isWrite, 0], // cmp byte [r12+is write], 0
    when(EQUAL, "park"),
    [0x41, 0x8b, 0x4c, 0x24, RUN.mmio.data, 0xf7, 0xd1, 0xf0, 0x41, 0x21, 0x4c, 0x95, 0], // mov ecx, [r12+data]; not ecx; lock and [r13+rdx*4], ecx
    jump("run"),
    { label: "failed" },
    [0x89, 0x43, AT.result], // mov [result], eax
    { label: "drain" },
    [0x8b, 0x7b, AT.signals, 0x48, 0x8d, 0x73, AT.signalInfo, 0xba, ...le32(SIGNAL_INFO_SIZE), ...call(SYS.read)], // read(signals, info)
    [0x85, 0xc0], // test eax, eax
    when(GREATER, "drain"),
    jump("stop"),
    { label: "end" },
    [0x31, 0xc0, 0x41, 0x5d, 0x41, 0x5c, 0x5b, 0xc3], // xor eax, eax; pop r13, r12, rbx; ret
  ];
}

function sizeOf(part: Part): number {
  if ("label" in part) return 0;
  return "jump" in part ? part.jump.length + 4 : part.length;
}

function assemble(code: readonly Part[]): Uint8Array {
  const places = new Map<Label, number>();
  let size = 0;
  for (const part of code) {
    if ("label" in part) places.set(part.label, size);
    size += sizeOf(part);
  }
  let at = 0;
  return Uint8Array.from(code.flatMap((part) => {
    at += sizeOf(part);
    if ("label" in part) return [];
    return "jump" in part ? [...part.jump, ...le32((places.get(part.to) ?? 0) - at)] : [...part];
  }));
}

/** What the threads of a machine's vCPUs have in common. */
export class VcpuThreads {
  readonly words: Int32Array;
  readonly #block: Block;
  readonly #code: number;

  constructor(registers: InterruptRegisters) {
    this.#block = permanentBlock(registers.count * 4);
    this.words = new Int32Array(this.#block.bytes.buffer, this.#block.bytes.byteOffset, registers.count);
    this.#code = mapCode(assemble(parts(registers)));
  }

  /**
   * Starts a thread that is parked at once, with -EINTR for its result.
   * @param run struct kvm_run. @param doorbell an eventfd. @param signals a signalfd for the signal that ends KVM_RUN. All of them outlive the thread. @throws SysError
   */
  start(vcpu: FdLike, run: Block, doorbell: FdLike, signals: FdLike): VcpuThread {
    const block = permanentBlock(SIZE);
    for (const [at, fd] of [[AT.vcpu, vcpu], [AT.doorbell, doorbell], [AT.signals, signals]] as const) block.view.setInt32(at, fdNumber(fd), true);
    for (const [at, value] of [[AT.run, run.address], [AT.words, this.#block.address], [AT.one, 1]] as const) block.view.setBigUint64(at, BigInt(value), true);
    const mask = setSignalMask(ALL_SIGNALS);
    // SAFETY: the code keeps to the C calling convention; what it is given is mapped for good.
    const errno = createThread(this.#code, block.address, STACK_SIZE);
    setSignalMask(mask);
    if (errno !== 0) throw new SysError({ syscall: "pthread_create", errno });
    return new VcpuThread(block);
  }
}

export class VcpuThread {
  readonly #block: Block;
  readonly #words: Int32Array;

  constructor(block: Block) {
    this.#block = block;
    this.#words = new Int32Array(block.bytes.buffer, block.bytes.byteOffset, SIZE / 4);
  }

  /** Whether it waits for `go`. Until then nothing that is the vCPU's changes. */
  get parked(): boolean {
    return Atomics.load(this.#words, AT.state / 4) === PARKED;
  }

  /** KVM_RUN's: 0, or the negative errno. Only while it is parked. */
  get result(): number {
    return Atomics.load(this.#words, AT.result / 4);
  }

  /** The kernel's number, for a signal; 0 until it is parked for the first time. */
  get id(): number {
    return Atomics.load(this.#words, AT.thread / 4);
  }

  /** Lets it run until the next exit. Precondition: it is parked. */
  go(): void {
    this.#wake(GO_RUN);
  }

  /** Precondition: it is parked. */
  end(): void {
    this.#wake(GO_END);
  }

  #wake(go: number): void {
    Atomics.store(this.#words, AT.state / 4, RUNNING);
    Atomics.store(this.#words, AT.go / 4, go);
    syscall(SYS.futex, this.#block.address + AT.go, FUTEX_WAKE_PRIVATE, 1);
  }
}
