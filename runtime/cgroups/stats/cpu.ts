import { counter, omitZero, readCounter, readKeyed, readPsi, scaled, type Counter, type Psi } from "./parse.ts";
import { readOptional, type CgroupDir } from "../files.ts";

/** Nanoseconds. */
export interface CpuUsage {
  readonly total?: Counter;
  readonly percpu?: readonly Counter[];
  readonly percpu_kernel?: readonly Counter[];
  readonly percpu_user?: readonly Counter[];
  readonly kernel: Counter;
  readonly user: Counter;
}

export interface CpuStats {
  readonly usage: CpuUsage;
  readonly throttling: { readonly periods?: Counter; readonly throttledPeriods?: Counter; readonly throttledTime?: Counter };
  readonly psi?: Psi;
}

/** USER_HZ is 100 on every architecture that Linux still has under it. Source: times(2), include/asm-generic/param.h. */
const nanosecondsPerTick = 10_000_000;

/** Source: Documentation/admin-guide/cgroup-v1/cpuacct.rst; `cpu` has the throttling. */
export function cpuStatsV1(acct: CgroupDir, cpu: CgroupDir): CpuStats {
  const ticks = readKeyed(acct, "cpuacct.stat");
  const { nr_periods: periods, nr_throttled: throttledPeriods, throttled_time: throttledTime } = readKeyed(cpu, "cpu.stat");
  return {
    usage: {
      ...omitZero({ total: readCounter(acct, "cpuacct.usage"), ...perCpu(acct) }),
      kernel: scaled(ticks["system"], nanosecondsPerTick) ?? 0,
      user: scaled(ticks["user"], nanosecondsPerTick) ?? 0,
    },
    throttling: omitZero({ periods, throttledPeriods, throttledTime }),
  };
}

function perCpu(acct: CgroupDir): Pick<CpuUsage, "percpu" | "percpu_kernel" | "percpu_user"> {
  const percpu = numbers(readOptional(acct, "cpuacct.usage_percpu") ?? "");
  // "cpu user system", then a line for each.
  const rows = (readOptional(acct, "cpuacct.usage_all") ?? "").split("\n").slice(1).map(numbers).filter((row) => row.length >= 3);
  const column = (index: number): Counter[] => rows.map((row) => row[index] ?? 0);
  return { ...(percpu.length > 0 && { percpu }), ...(rows.length > 0 && { percpu_kernel: column(2), percpu_user: column(1) }) };
}

const numbers = (text: string): Counter[] => text.split(/\s+/).flatMap((word) => counter(word) ?? []);

/** Source: Documentation/admin-guide/cgroup-v2.rst, cpu.stat; microseconds there. */
export function cpuStatsV2(dir: CgroupDir): CpuStats {
  const stat = readKeyed(dir, "cpu.stat");
  const ns = (key: string): Counter | undefined => scaled(stat[key], 1000);
  const psi = readPsi(dir, "cpu.pressure");
  return {
    usage: { ...omitZero({ total: ns("usage_usec") }), kernel: ns("system_usec") ?? 0, user: ns("user_usec") ?? 0 },
    throttling: omitZero({ periods: stat["nr_periods"], throttledPeriods: stat["nr_throttled"], throttledTime: ns("throttled_usec") }),
    ...(psi && { psi }),
  };
}

export interface CpusetStats {
  readonly cpus?: readonly number[];
  readonly mems?: readonly number[];
  readonly [flag: string]: Counter | readonly number[];
}

const cpusetFlags = [
  "cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
  "memory_spread_slab", "memory_pressure", "sched_load_balance",
];

/** `0-2,7` to its members. */
export function parseList(list: string): number[] {
  return list.split(",").filter(Boolean).flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** Source: cpusets(7). */
export function cpusetStatsV1(dir: CgroupDir): CpusetStats {
  const flags = cpusetFlags.map((name) => [name, readCounter(dir, `cpuset.${name}`) ?? 0] as const);
  return {
    ...omitEmpty({ cpus: parseList(readOptional(dir, "cpuset.cpus") ?? ""), mems: parseList(readOptional(dir, "cpuset.mems") ?? "") }),
    ...Object.fromEntries(flags),
    // Signed: -1 is the default.
    sched_relax_domain_level: Number(readOptional(dir, "cpuset.sched_relax_domain_level") ?? 0),
  };
}

export function cpusetStatsV2(dir: CgroupDir): CpusetStats {
  return omitEmpty({
    cpus: parseList(readOptional(dir, "cpuset.cpus.effective") ?? ""),
    mems: parseList(readOptional(dir, "cpuset.mems.effective") ?? ""),
  });
}

const omitEmpty = (lists: Record<string, readonly number[]>): Record<string, readonly number[]> =>
  Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));
