import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fromBinary } from "@bufbuild/protobuf";
import type { CgroupStats } from "../runtime/cgroups/index.ts";
import { statsJson } from "../runtime/cgroups/stats.ts";
import { readStats } from "../runtime/cgroups/stats.ts";
import { parseFigures } from "../runtime/vm/ask.ts";
import { memoryFields, metricsFrom } from "./metrics.ts";
import { MemoryStatSchema as V1 } from "./proto/generated/metrics_v1_pb.js";
import { MemoryStatSchema as V2, MetricsSchema } from "./proto/generated/metrics_v2_pb.js";

const raw = { cache: 1, pgpgin: 2, total_pgmajfault: 3, inactive_file: 4, total_inactive_file: 5, hierarchical_memory_limit: 2n ** 63n, hierarchical_memsw_limit: 6, no_such_counter: 7, slab_reclaimable: 8 };

test("memory.stat of v1 by the message's names", () => {
  const others = { pgpgin: "pgPgIn", pgmajfault: "pgMajFault", hierarchical_memsw_limit: "hierarchicalSwapLimit" };
  expect(memoryFields(raw, V1, others)).toEqual({ cache: 1n, pgPgIn: 2n, totalPgMajFault: 3n, inactiveFile: 4n, totalInactiveFile: 5n, hierarchicalMemoryLimit: 2n ** 63n, hierarchicalSwapLimit: 6n });
});

test("and of v2", () => {
  expect(memoryFields(raw, V2, {})).toEqual({ inactiveFile: 4n, slabReclaimable: 8n });
});

const figures = {
  cpu: { usage: { total: 2n ** 60n, kernel: 1000, user: 2000 }, throttling: {} }, cpuset: {},
  memory: { usage: { usage: 4096, limit: 2n ** 64n - 1n, failcnt: 0 }, raw: { anon: 7 } }, pids: { current: 3, limit: 2n ** 64n - 1n }, blkio: {}, hugetlb: {},
} satisfies CgroupStats;

test("what a guest tells of a container reaches the host's clients, counters above 2^53 and all", () => {
  const told = metricsFrom(parseFigures(statsJson(figures)) as CgroupStats, "v2");
  const { cpu, memory, pids } = fromBinary(MetricsSchema, told.value);
  expect([cpu?.usageUsec, memory?.usageLimit, memory?.anon, pids?.current]).toEqual([2n ** 60n / 1000n, 2n ** 64n - 1n, 7n, 3n]);
});

test.for(["{}", "null", "[1]", '{"cpu":{"usage":{"total":"many"},"throttling":{}},"memory":{},"pids":{},"blkio":{},"hugetlb":{}}', statsJson({ ...figures, pids: { current: 1.5 } }), statsJson({ ...figures, pids: { current: 10n ** 19n * 9n } })])("a guest that tells %s has told nothing", (text) => {
  expect(() => metricsFrom(parseFigures(text) as CgroupStats, "v2")).toThrow();
});

test("a cgroup of v2: microseconds, swap alone, bytes by device", () => {
  const directory = mkdtempSync(join(tmpdir(), "tss-metrics-"));
  const files = {
    "cpu.stat": "usage_usec 700\nuser_usec 500\nsystem_usec 200\nnr_periods 9\nnr_throttled 4\nthrottled_usec 33\n",
    "memory.stat": "anon 11\nfile 22\ninactive_file 5\n",
    "memory.current": "1000\n",
    "memory.max": "2000\n",
    "memory.swap.current": "30\n",
    "memory.swap.max": "400\n",
    "pids.current": "7\n",
    "pids.max": "max\n",
    "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const { typeUrl, value } = metricsFrom(readStats({ "": directory }), "v2");
  rmSync(directory, { recursive: true });
  const none = 2n ** 64n - 1n;
  expect(typeUrl).toBe("io.containerd.cgroups.v2.Metrics");
  expect(fromBinary(MetricsSchema, value)).toMatchObject({
    cpu: { usageUsec: 700n, userUsec: 500n, systemUsec: 200n, nrPeriods: 9n, nrThrottled: 4n, throttledUsec: 33n },
    memory: { anon: 11n, file: 22n, inactiveFile: 5n, usage: 1000n, usageLimit: 2000n, swapUsage: 30n, swapLimit: 400n },
    pids: { current: 7n, limit: none },
    io: { usage: [{ major: 8n, minor: 0n, rbytes: 1n, wbytes: 2n, rios: 3n, wios: 4n }] },
  });
});
