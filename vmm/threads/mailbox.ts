/**
 * What a vCPU thread and the device thread say to each other, by words in shared memory.
 *
 *   vCPU thread                                   device thread
 *   request written, state REQUEST
 *   eventfd += 1            ───────────────────▶  poll returns
 *   Atomics.wait                                  answer written, state IDLE
 *                           ◀───────────────────  Atomics.notify
 *
 *   command (run, pause, stop)  ◀───────────────  written first, then the vCPU is interrupted (machine.ts)
 *   phase                   ───────────────────▶  running, paused, stopped
 *
 * Only what a device's owner alone can answer goes this way: it takes two switches of threads. Queue notifications are ioeventfds, and
 * interrupts are acknowledged in the vCPU's thread (vcpu-thread.ts).
 */

const STATE = 0;
const KIND = 1;
const ADDRESS_LOW = 2;
const ADDRESS_HIGH = 3;
const SIZE = 4;
const DATA_LOW = 5;
const DATA_HIGH = 6;
const COMMAND = 7;
const PHASE = 8;
const THREAD = 9;
/** The vCPU's descriptor and 1, so that 0 is none; where it is mapped. */
const VCPU = 10;
const RUN_LOW = 11;
const RUN_HIGH = 12;
const RUN_SIZE = 13;
const TEXT = 16;
const TEXT_WORDS = 112;
const WORDS = TEXT + TEXT_WORDS;

export const MAILBOX_BYTES = WORDS * 4;

const IDLE = 0;
const REQUEST = 1;

const KINDS = ["read", "write", "reset", "power-off", "failure"] as const;
export type RequestKind = (typeof KINDS)[number];

const COMMANDS = ["run", "pause", "stop"] as const;
export type Command = (typeof COMMANDS)[number];

const PHASES = ["starting", "running", "paused", "stopped"] as const;
export type Phase = (typeof PHASES)[number];

export interface Request {
  readonly kind: RequestKind;
  /** Guest-physical address of a read or write. */
  readonly address: number;
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number;
  /** The value of a write, in two halves. */
  readonly low: number;
  readonly high: number;
  /** What happened, for a failure. */
  readonly text: string;
}

/** A vCPU, as threads can tell each other: its descriptor, and where struct kvm_run is mapped. */
export interface VcpuPlace {
  readonly fd: number;
  readonly address: number;
  readonly size: number;
}

export class Mailbox {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer, TEXT * 4);
  }

  // The vCPU's side

  /** Asks, and waits for the answer. `ring` wakes the device thread. @returns the value of a read, in two halves. */
  ask(request: Omit<Request, "text"> & { text?: string }, ring: () => void): readonly [low: number, high: number] {
    const words = this.#words;
    words[KIND] = KINDS.indexOf(request.kind);
    words[ADDRESS_LOW] = request.address >>> 0;
    words[ADDRESS_HIGH] = Math.floor(request.address / 2 ** 32);
    words[SIZE] = request.size;
    words[DATA_LOW] = request.low;
    words[DATA_HIGH] = request.high;
    this.#bytes.fill(0);
    if (request.text !== undefined) this.#bytes.set(Buffer.from(request.text).subarray(0, this.#bytes.length - 1));
    Atomics.store(words, STATE, REQUEST);
    ring();
    while (Atomics.load(words, STATE) === REQUEST) Atomics.wait(words, STATE, REQUEST);
    return [(words[DATA_LOW] ?? 0) >>> 0, (words[DATA_HIGH] ?? 0) >>> 0];
  }

  /** The thread's vCPU: blocks until there is one. */
  awaitVcpu(): VcpuPlace {
    const words = this.#words;
    while (Atomics.load(words, VCPU) === 0) Atomics.wait(words, VCPU, 0);
    return { fd: (words[VCPU] ?? 0) - 1, address: (words[RUN_HIGH] ?? 0) * 2 ** 32 + ((words[RUN_LOW] ?? 0) >>> 0), size: words[RUN_SIZE] ?? 0 };
  }

  get command(): Command {
    return COMMANDS[Atomics.load(this.#words, COMMAND)] ?? "stop";
  }

  /** Blocks while the command is `pause`. */
  waitWhilePaused(): void {
    const pause = COMMANDS.indexOf("pause");
    while (Atomics.load(this.#words, COMMAND) === pause) Atomics.wait(this.#words, COMMAND, pause);
  }

  setPhase(phase: Phase): void {
    Atomics.store(this.#words, PHASE, PHASES.indexOf(phase));
  }

  setThread(id: number): void {
    Atomics.store(this.#words, THREAD, id);
  }

  // The device thread's side

  giveVcpu({ fd, address, size }: VcpuPlace): void {
    const words = this.#words;
    words[RUN_LOW] = address >>> 0;
    words[RUN_HIGH] = Math.floor(address / 2 ** 32);
    words[RUN_SIZE] = size;
    Atomics.store(words, VCPU, fd + 1);
    Atomics.notify(words, VCPU);
  }

  /** The request that waits, if any. */
  get request(): Request | undefined {
    const words = this.#words;
    if (Atomics.load(words, STATE) !== REQUEST) return undefined;
    const end = this.#bytes.indexOf(0);
    return {
      kind: KINDS[words[KIND] ?? 0] ?? "failure",
      address: (words[ADDRESS_HIGH] ?? 0) * 2 ** 32 + ((words[ADDRESS_LOW] ?? 0) >>> 0),
      size: words[SIZE] ?? 0,
      low: (words[DATA_LOW] ?? 0) >>> 0,
      high: (words[DATA_HIGH] ?? 0) >>> 0,
      text: Buffer.from(this.#bytes.slice(0, end)).toString(),
    };
  }

  answer(low = 0, high = 0): void {
    this.#words[DATA_LOW] = low;
    this.#words[DATA_HIGH] = high;
    Atomics.store(this.#words, STATE, IDLE);
    Atomics.notify(this.#words, STATE);
  }

  setCommand(command: Command): void {
    Atomics.store(this.#words, COMMAND, COMMANDS.indexOf(command));
    Atomics.notify(this.#words, COMMAND);
  }

  get phase(): Phase {
    return PHASES[Atomics.load(this.#words, PHASE)] ?? "stopped";
  }

  /** The vCPU thread's id, for a signal; 0 before it has started. */
  get thread(): number {
    return Atomics.load(this.#words, THREAD);
  }
}
