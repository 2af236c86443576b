/** A VMM that was started, the lines of its guest with the time of each, and what the kernel tells of both. */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** What it has as descriptor 3 and on. */
  readonly fds?: readonly number[];
}

export interface Line {
  readonly text: string;
  /** Milliseconds since the start. */
  readonly at: number;
}

/** KVM's counters, summed up over all vCPUs, of which there is one: /sys/kernel/debug/kvm/PID-FD. Source: Linux arch/x86/kvm/x86.c, kvm_vcpu_stats_desc. */
const EXITS = ["exits", "io_exits", "mmio_exits", "halt_exits", "irq_exits", "request_irq_exits", "insn_emulation"] as const;
const KVM_STATISTICS = "/sys/kernel/debug/kvm";
const LOOK_AGAIN_MS = 5;

export class VmmProcess {
  readonly #child: ChildProcess;
  readonly #start = performance.now();
  readonly #ended: Promise<unknown>;
  readonly #lines: Line[] = [];
  readonly #timer: NodeJS.Timeout;
  #rest = "";
  #complaints = "";
  #woken: () => void = () => undefined;
  /** When the first vCPU was seen to have run, in milliseconds since the start; undefined where KVM's counters are not to be had. */
  firstEntry: number | undefined;

  constructor({ program, args, fds = [] }: Command) {
    const stdio: StdioOptions = ["ignore", "pipe", "pipe", ...fds];
    this.#child = spawn(program, args, { stdio });
    this.#ended = once(this.#child, "exit").then(() => this.#woken());
    this.#child.stdout?.on("data", (data: Buffer) => this.#take(data.toString("latin1")));
    this.#child.stderr?.on("data", (data: Buffer) => (this.#complaints += data.toString()));
    this.#timer = setInterval(() => this.#lookForEntry(), LOOK_AGAIN_MS);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  #take(text: string): void {
    const at = performance.now() - this.#start;
    const lines = (this.#rest + text).split(/\r?\n/);
    this.#rest = lines.pop() ?? "";
    this.#lines.push(...lines.map((line) => ({ text: line, at })));
    this.#woken();
  }

  #lookForEntry(): void {
    // One counter only: what looks is part of what is measured where there is one processor.
    if ((this.counters(["exits"])?.["exits"] ?? 0) === 0) return;
    this.firstEntry = performance.now() - this.#start;
    clearInterval(this.#timer);
  }

  /** KVM's counters. */
  counters(names: readonly string[] = EXITS): Readonly<Record<string, number>> | undefined {
    try {
      const name = readdirSync(KVM_STATISTICS).find((entry) => entry.startsWith(`${this.pid}-`));
      return Object.fromEntries(names.map((counter) => [counter, Number(readFileSync(`${KVM_STATISTICS}/${name}/${counter}`, "utf8"))]));
    } catch {
      // No debugfs; or not yet, or not any more.
      return undefined;
    }
  }

  /** The first line that matches. @throws Error with what was printed, where the process ends first or the time is over */
  async line(pattern: RegExp, seconds: number): Promise<Line> {
    const late = performance.now() + seconds * 1000;
    for (;;) {
      const found = this.#lines.find(({ text }) => pattern.test(text));
      if (found !== undefined) return found;
      const failed = this.#lines.find(({ text }) => text.startsWith("FAILED"));
      if (failed !== undefined || this.#hasEnded || performance.now() > late) {
        throw new Error(`no ${String(pattern)} from the guest (${this.#child.spawnfile}: ${this.#child.exitCode ?? this.#child.signalCode ?? "runs"}):\n${this.#lines.map(({ text }) => text).join("\n")}\n${this.#complaints}`);
      }
      await this.#something(late - performance.now());
    }
  }

  #something(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#woken = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  get lines(): readonly Line[] {
    return this.#lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#hasEnded) this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

/**
 * Kilobytes: what is the process's own share of all it has mapped (PSS), and of that what is the guest's memory.
 * @param guestBytes the guest's memory is the one mapping of this size, or several that follow each other.
 */
export function residentMemory(pid: number, guestBytes: number): { readonly total: number; readonly guest: number } {
  let [total, guest, isGuest, end] = [0, 0, false, 0];
  for (const line of readFileSync(`/proc/${pid}/smaps`, "utf8").split("\n")) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
    if (range !== null) {
      const from = Number.parseInt(range[1] ?? "", 16);
      end = Number.parseInt(range[2] ?? "", 16);
      isGuest = end - from === guestBytes;
    }
    const share = Number(/^Pss:\s+(\d+)/.exec(line)?.[1] ?? 0);
    total += share;
    if (isGuest) guest += share;
  }
  return { total, guest };
}

/** Processor time in seconds: all of the process's, and of that what ran the guest. Source: proc_pid_stat(5), fields 14, 15 and 43. */
export function processorTime(pid: number): { readonly total: number; readonly guest: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /, "").split(" ");
  const ticks = (field: number) => Number(fields[field - 3]) / 100;
  return { total: ticks(14) + ticks(15), guest: ticks(43) };
}
