/** A container's resources as containerd's clients, the kubelet among them, read them: counters by cgroup version. */
import { create, toBinary, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { AnySchema, type Any } from "@bufbuild/protobuf/wkt";
import type { CgroupStats } from "../runtime/cgroups/index.ts";
import type { BlkioEntry } from "../runtime/cgroups/stats/blkio.ts";
import type { MemoryEntry } from "../runtime/cgroups/stats/memory.ts";
import { unlimited, type Counter } from "../runtime/cgroups/stats/parse.ts";
import { cgroupOf } from "../runtime/container/status.ts";
import type { Container } from "../runtime/container/store.ts";
import * as v1 from "./proto/generated/metrics_v1_pb.js";
import * as v2 from "./proto/generated/metrics_v2_pb.js";

type Layout = Container["record"]["cgroup"]["layout"];

export const metricsOf = (container: Container): Any => metricsFrom(cgroupOf(container).stats(), container.record.cgroup.layout);

/** @param layout of the host, which is what its clients look for. @throws TypeError, SyntaxError, Error for a guest's figures that are none */
export function metricsFrom(stats: CgroupStats, layout: Layout): Any {
  return layout === "v2" ? pack(v2.MetricsSchema, metricsV2(stats)) : pack(v1.MetricsSchema, metricsV1(stats));
}

function pack<S extends DescMessage>(schema: S, value: MessageInitShape<S>): Any {
  return create(AnySchema, { typeUrl: schema.typeName, value: toBinary(schema, create(schema, value)) });
}

const big = (value: Counter | undefined): bigint => BigInt(value ?? 0);

type Raw = Readonly<Record<string, Counter>>;

/** Field names are the keys of memory.stat, in camel case; these are not. */
const OTHER_NAMES: Readonly<Record<string, string>> = { pgpgin: "pgPgIn", pgpgout: "pgPgOut", pgfault: "pgFault", pgmajfault: "pgMajFault", hierarchical_memsw_limit: "hierarchicalSwapLimit" };

/** Exported for its test. @returns the counters of memory.stat that the message has a field for. */
export function memoryFields(raw: Raw, schema: DescMessage, others: Readonly<Record<string, string>>): Record<string, bigint> {
  const known = new Set(schema.fields.map((field) => field.localName));
  const named = Object.entries(raw).map(([key, value]) => [fieldName(key, others), big(value)] as const);
  return Object.fromEntries(named.filter(([name]) => known.has(name)));
}

function fieldName(key: string, others: Readonly<Record<string, string>>): string {
  const [, prefix = "", rest = key] = /^(total_)?(.*)$/.exec(key) ?? [];
  const name = others[rest] ?? rest.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return prefix === "" ? name : `total${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}

const entry = (value: MemoryEntry | undefined) => ({ limit: big(value?.limit), usage: big(value?.usage), max: big(value?.max), failcnt: big(value?.failcnt) });

const blkioEntries = (entries: readonly BlkioEntry[] = []) => entries.map(({ op = "", major = 0, minor = 0, value }) => ({ op, major: BigInt(major), minor: BigInt(minor), value: big(value) }));

function metricsV1({ cpu, memory, pids, blkio, hugetlb }: CgroupStats): MessageInitShape<typeof v1.MetricsSchema> {
  const { usage, throttling } = cpu;
  return {
    cpu: {
      usage: { total: big(usage.total), kernel: big(usage.kernel), user: big(usage.user), perCpu: (usage.percpu ?? []).map(big) },
      throttling: { periods: big(throttling.periods), throttledPeriods: big(throttling.throttledPeriods), throttledTime: big(throttling.throttledTime) },
    },
    memory: { ...memoryFields(memory.raw ?? {}, v1.MemoryStatSchema, OTHER_NAMES), usage: entry(memory.usage), swap: entry(memory.swap), kernel: entry(memory.kernel), kernelTcp: entry(memory.kernelTCP) },
    pids: { current: big(pids.current), limit: big(pids.limit) },
    blkio: {
      ioServiceBytesRecursive: blkioEntries(blkio.ioServiceBytesRecursive),
      ioServicedRecursive: blkioEntries(blkio.ioServicedRecursive),
      ioQueuedRecursive: blkioEntries(blkio.ioQueueRecursive),
      ioServiceTimeRecursive: blkioEntries(blkio.ioServiceTimeRecursive),
      ioWaitTimeRecursive: blkioEntries(blkio.ioWaitTimeRecursive),
      ioMergedRecursive: blkioEntries(blkio.ioMergedRecursive),
      ioTimeRecursive: blkioEntries(blkio.ioTimeRecursive),
      sectorsRecursive: blkioEntries(blkio.sectorsRecursive),
    },
    hugetlb: Object.entries(hugetlb).map(([pagesize, { usage: used, max, failcnt }]) => ({ pagesize, usage: big(used), max: big(max), failcnt: big(failcnt) })),
  };
}

const NS_PER_US = 1000n;
const microseconds = (nanoseconds: Counter | undefined): bigint => big(nanoseconds) / NS_PER_US;

function metricsV2({ cpu, memory, pids, blkio, hugetlb }: CgroupStats): MessageInitShape<typeof v2.MetricsSchema> {
  const { usage, throttling } = cpu;
  return {
    cpu: {
      usageUsec: microseconds(usage.total),
      userUsec: microseconds(usage.user),
      systemUsec: microseconds(usage.kernel),
      nrPeriods: big(throttling.periods),
      nrThrottled: big(throttling.throttledPeriods),
      throttledUsec: microseconds(throttling.throttledTime),
    },
    memory: { ...memoryFields(memory.raw ?? {}, v2.MemoryStatSchema, {}), usage: big(memory.usage?.usage), usageLimit: big(memory.usage?.limit), maxUsage: big(memory.usage?.max), ...swapV2(memory) },
    // Where v1 has 0 for none, v2 has the greatest number. Source: containerd/cgroups v2/manager.go, getPidValue.
    pids: { current: big(pids.current), limit: big(pids.limit ?? unlimited) },
    io: { usage: ioUsage(blkio) },
    hugetlb: Object.entries(hugetlb).map(([pagesize, { usage: used, max }]) => ({ pagesize, current: big(used), max: big(max) })),
  };
}

/** The statistics have swap as v1 counts it, memory included; the message wants swap alone. */
function swapV2({ swap, usage }: CgroupStats["memory"]): { swapUsage: bigint; swapLimit: bigint } {
  const limit = big(swap?.limit);
  return { swapUsage: big(swap?.usage) - (swap === undefined ? 0n : big(usage?.usage)), swapLimit: limit === unlimited || swap === undefined ? limit : limit - big(usage?.limit) };
}

function ioUsage({ ioServiceBytesRecursive = [], ioServicedRecursive = [] }: CgroupStats["blkio"]) {
  const devices = new Map<string, { major: bigint; minor: bigint; rbytes: bigint; wbytes: bigint; rios: bigint; wios: bigint }>();
  const add = (entries: readonly BlkioEntry[], read: "rbytes" | "rios", write: "wbytes" | "wios") => {
    for (const { major = 0, minor = 0, op, value } of entries) {
      const key = `${major}:${minor}`;
      const device = devices.get(key) ?? { major: BigInt(major), minor: BigInt(minor), rbytes: 0n, wbytes: 0n, rios: 0n, wios: 0n };
      devices.set(key, device);
      if (/^read$/i.test(op ?? "")) device[read] = big(value);
      if (/^write$/i.test(op ?? "")) device[write] = big(value);
    }
  };
  add(ioServiceBytesRecursive, "rbytes", "wbytes");
  add(ioServicedRecursive, "rios", "wios");
  return [...devices.values()];
}
