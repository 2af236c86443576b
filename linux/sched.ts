/** Scheduling of the calling task, and where others may run. Sources: sched_setattr(2), ioprio_set(2), sched_setaffinity(2), getcpu(2). */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { permanentBlock, scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

/** struct sched_attr; times in nanoseconds. */
export interface SchedulingAttributes {
  readonly policy: number;
  readonly flags: bigint;
  readonly nice: number;
  readonly priority: number;
  readonly runtime: bigint;
  readonly deadline: bigint;
  readonly period: bigint;
}

const SCHED_ATTR_SIZE = 48;

export function setScheduling(attributes: SchedulingAttributes): void {
  using s = scratch();
  const attr = s.reserve(SCHED_ATTR_SIZE);
  attr.view.setUint32(0, SCHED_ATTR_SIZE, true);
  attr.view.setUint32(4, attributes.policy, true);
  attr.view.setBigUint64(8, attributes.flags, true);
  attr.view.setInt32(16, attributes.nice, true);
  attr.view.setUint32(20, attributes.priority, true);
  attr.view.setBigUint64(24, attributes.runtime, true);
  attr.view.setBigUint64(32, attributes.deadline, true);
  attr.view.setBigUint64(40, attributes.period, true);
  check(syscall(SYS.sched_setattr, 0, attr.address, 0), "sched_setattr");
}

/** @param ioClass 1 real time, 2 best effort, 3 idle. @param priority 0 to 7. */
export function setIoPriority(ioClass: number, priority: number): void {
  const IOPRIO_WHO_PROCESS = 1;
  const IOPRIO_CLASS_SHIFT = 13;
  check(syscall(SYS.ioprio_set, IOPRIO_WHO_PROCESS, 0, (ioClass << IOPRIO_CLASS_SHIFT) | priority), "ioprio_set");
}

const CPU_SET_BYTES = 1024;

/** How many processors the calling task may run on. */
export function allowedCpus(): number {
  using s = scratch();
  const set = s.reserve(CPU_SET_BYTES);
  const length = check(syscall(SYS.sched_getaffinity, 0, CPU_SET_BYTES, set.address), "sched_getaffinity");
  return countBits(set.bytes.subarray(0, length));
}

function countBits(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) for (let bits = byte; bits > 0; bits &= bits - 1) count++;
  return count;
}

/** @param cpus numbers from 0 to 8191. @throws SysError EINVAL where none of them is allowed. */
export function setAffinity(cpus: readonly number[]): void {
  using s = scratch();
  const set = s.reserve(CPU_SET_BYTES);
  for (const cpu of cpus) set.bytes[cpu >> 3] = (set.bytes[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  check(syscall(SYS.sched_setaffinity, 0, CPU_SET_BYTES, set.address), "sched_setaffinity", cpus.join(","));
}

/** A set of processors, for use over and over: reading and giving it allocate nothing. */
export class CpuMask {
  readonly #block = permanentBlock(CPU_SET_BYTES);
  #size = 0;

  get count(): number {
    return countBits(this.#block.bytes.subarray(0, this.#size));
  }

  /** Makes it those on which a task may run. @param task 0 for the caller. @returns whether that could be had. */
  read(task: number): boolean {
    this.#size = Math.max(0, syscall(SYS.sched_getaffinity, task, CPU_SET_BYTES, this.#block.address));
    return this.#size > 0;
  }

  /** Makes it the one on which the caller is. */
  readCurrent(): void {
    const { view, bytes, address } = this.#block;
    const cpu = syscall(SYS.getcpu, address, 0, 0) < 0 ? 0 : view.getUint32(0, true);
    bytes.fill(0);
    bytes[cpu >> 3] = 1 << (cpu & 7);
    this.#size = 8 * ((cpu >> 6) + 1);
  }

  /** Has a task run on these. @param task 0 for the caller. @returns 0 or the negative errno. */
  giveTo(task: number): number {
    return syscall(SYS.sched_setaffinity, task, this.#size, this.#block.address);
  }
}
