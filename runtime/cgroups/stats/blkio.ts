import { readOptional, type CgroupDir } from "../files.ts";
import { counter, readPsi, type Counter, type Psi } from "./parse.ts";

export interface BlkioEntry {
  readonly major?: number;
  readonly minor?: number;
  readonly op?: string;
  readonly value?: Counter;
}

export interface BlkioStats {
  readonly ioServiceBytesRecursive?: readonly BlkioEntry[];
  readonly ioServicedRecursive?: readonly BlkioEntry[];
  readonly ioQueueRecursive?: readonly BlkioEntry[];
  readonly ioServiceTimeRecursive?: readonly BlkioEntry[];
  readonly ioWaitTimeRecursive?: readonly BlkioEntry[];
  readonly ioMergedRecursive?: readonly BlkioEntry[];
  readonly ioTimeRecursive?: readonly BlkioEntry[];
  readonly sectorsRecursive?: readonly BlkioEntry[];
  readonly psi?: Psi;
}

/** What each I/O policy of v1 can tell; the first one with any entry is taken. Source: block/bfq-cgroup.c, blk-throttle.c. */
const sources: ReadonlyArray<Readonly<Partial<Record<keyof BlkioStats, string>>>> = [
  {
    ioServicedRecursive: "blkio.bfq.io_serviced_recursive",
    ioServiceBytesRecursive: "blkio.bfq.io_service_bytes_recursive",
    sectorsRecursive: "blkio.bfq.sectors_recursive",
    ioServiceTimeRecursive: "blkio.bfq.io_service_time_recursive",
    ioWaitTimeRecursive: "blkio.bfq.io_wait_time_recursive",
    ioMergedRecursive: "blkio.bfq.io_merged_recursive",
    ioQueueRecursive: "blkio.bfq.io_queued_recursive",
    ioTimeRecursive: "blkio.bfq.time_recursive",
  },
  { ioServicedRecursive: "blkio.throttle.io_serviced_recursive", ioServiceBytesRecursive: "blkio.throttle.io_service_bytes_recursive" },
  { ioServicedRecursive: "blkio.throttle.io_serviced", ioServiceBytesRecursive: "blkio.throttle.io_service_bytes" },
];

export function blkioStatsV1(dir: CgroupDir): BlkioStats {
  for (const source of sources) {
    const found = Object.entries(source).flatMap(([name, file]) => {
      const entries = parseBlkio(readOptional(dir, file) ?? "");
      return entries.length > 0 ? [[name, entries] as const] : [];
    });
    if (found.length > 0) return Object.fromEntries(found);
  }
  return {};
}

/** Lines `8:0 Read 12` or `8:0 12`; the line `Total 12` has no device and is left out. */
export function parseBlkio(text: string): BlkioEntry[] {
  return text.split("\n").flatMap((line) => {
    const match = /^(\d+):(\d+) (?:(\w+) )?(\d+)$/.exec(line);
    return match === null ? [] : [blkioEntry(Number(match[1]), Number(match[2]), match[3] ?? "", counter(match[4]) ?? 0)];
  });
}

/** Without zeros, as runc prints it. */
const blkioEntry = (major: number, minor: number, op: string, value: Counter): BlkioEntry => ({
  ...(major !== 0 && { major }),
  ...(minor !== 0 && { minor }),
  ...(op !== "" && { op }),
  ...(value !== 0 && { value }),
});

/** io.stat: one line a device, `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`; told in v1's terms. */
const v2Keys: Readonly<Record<string, readonly ["ioServiceBytesRecursive" | "ioServicedRecursive", string]>> = {
  rbytes: ["ioServiceBytesRecursive", "Read"],
  wbytes: ["ioServiceBytesRecursive", "Write"],
  rios: ["ioServicedRecursive", "Read"],
  wios: ["ioServicedRecursive", "Write"],
};

/** Source: Documentation/admin-guide/cgroup-v2.rst, "IO Interface Files". */
export function blkioStatsV2(dir: CgroupDir): BlkioStats {
  const stats: Record<string, BlkioEntry[]> = {};
  for (const line of (readOptional(dir, "io.stat") ?? "").split("\n")) {
    const [major = NaN, minor = NaN] = (line.split(" ")[0] ?? "").split(":").map(Number);
    for (const [, key = "", value] of line.matchAll(/(\w+)=(\d+)/g)) {
      const [table, op] = v2Keys[key] ?? [];
      if (table !== undefined && op !== undefined) (stats[table] ??= []).push(blkioEntry(major, minor, op, counter(value) ?? 0));
    }
  }
  const psi = readPsi(dir, "io.pressure");
  return { ...stats, ...(psi && { psi }) };
}
