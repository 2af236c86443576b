import { describe, expect, it } from "vitest";
import { recordingDir } from "./recording-dir.ts";
import { statsJson } from "./stats.ts";
import { blkioStatsV2, parseBlkio } from "./stats/blkio.ts";
import { cpuStatsV1, cpuStatsV2 } from "./stats/cpu.ts";
import { memoryStatsV1, memoryStatsV2 } from "./stats/memory.ts";
import { counter } from "./stats/parse.ts";

const max = 2n ** 64n - 1n;

describe("statistics", () => {
  it("keep 64 bits", () => {
    expect([counter("12"), counter("9223372036854771712"), counter("max"), counter("-1"), counter(""), counter("x")]).toEqual([12, 9223372036854771712n, max, 0, undefined, undefined]);
    expect(statsJson({ a: max, b: [1] })).toBe('{"a":18446744073709551615,"b":[1]}');
  });

  it("have v1's memory as the kernel counts it", () => {
    const dir = recordingDir({
      "memory.stat": "cache 4096\nrss 8192\n", "memory.limit_in_bytes": "9223372036854771712\n", "memory.usage_in_bytes": "20480\n",
      "memory.max_usage_in_bytes": "30720\n", "memory.failcnt": "3\n", "memory.kmem.tcp.limit_in_bytes": "9\n",
    });
    expect(memoryStatsV1(dir)).toEqual({
      cache: 4096, raw: { cache: 4096, rss: 8192 }, kernelTCP: { limit: 9, failcnt: 0 },
      usage: { limit: 9223372036854771712n, usage: 20480, max: 30720, failcnt: 3 },
    });
  });

  it("have v2's memory and swap together, as v1 counts them", () => {
    const files = { "memory.stat": "file 10\nanon 20\n", "memory.max": "1000", "memory.current": "30", "memory.peak": "40", "memory.swap.current": "5", "memory.swap.max": "500" };
    expect(memoryStatsV2(recordingDir(files))).toEqual({
      cache: 10, raw: { file: 10, anon: 20 }, usage: { limit: 1000, usage: 30, max: 40, failcnt: 0 }, swap: { limit: 1500, usage: 35, failcnt: 0 },
    });
    expect(memoryStatsV2(recordingDir({ ...files, "memory.swap.max": "max" })).swap?.limit).toBe(max);
    expect(memoryStatsV2(recordingDir({}))).toEqual({});
  });

  it("have processor time in nanoseconds", () => {
    const acct = recordingDir({ "cpuacct.stat": "user 12\nsystem 3\n", "cpuacct.usage": "150000000\n", "cpuacct.usage_percpu": "100 50 \n", "cpuacct.usage_all": "cpu user system\n0 60 40\n1 30 20\n" });
    expect(cpuStatsV1(acct, recordingDir({ "cpu.stat": "nr_periods 7\nnr_throttled 0\nthrottled_time 9\n" }))).toEqual({
      usage: { total: 150_000_000, percpu: [100, 50], percpu_kernel: [40, 20], percpu_user: [60, 30], kernel: 30_000_000, user: 120_000_000 },
      throttling: { periods: 7, throttledTime: 9 },
    });
    const v2 = recordingDir({
      "cpu.stat": "usage_usec 12\nuser_usec 8\nsystem_usec 4\nnr_periods 2\nnr_throttled 1\nthrottled_usec 3\n",
      "cpu.pressure": "some avg10=1.50 avg60=0.00 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    });
    expect(cpuStatsV2(v2)).toMatchObject({ usage: { total: 12_000, user: 8000, kernel: 4000 }, throttling: { periods: 2, throttledPeriods: 1, throttledTime: 3000 }, psi: { some: { avg10: 1.5, total: 77 } } });
  });

  it("have block I/O by device and direction", () => {
    expect(parseBlkio("8:0 Read 12\n8:0 Total 12\nTotal 12\n253:1 9\n")).toEqual([
      { major: 8, op: "Read", value: 12 }, { major: 8, op: "Total", value: 12 }, { major: 253, minor: 1, value: 9 },
    ]);
    expect(blkioStatsV2(recordingDir({ "io.stat": "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n" }))).toEqual({
      ioServiceBytesRecursive: [{ major: 8, minor: 16, op: "Read", value: 1 }, { major: 8, minor: 16, op: "Write", value: 2 }],
      ioServicedRecursive: [{ major: 8, minor: 16, op: "Read", value: 3 }, { major: 8, minor: 16, op: "Write", value: 4 }],
    });
  });
});
