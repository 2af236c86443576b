import type { LinuxCPU, LinuxDeviceCgroup, LinuxResources } from "../../spec/config-resources.ts";
import { blkioWeightToIoWeight } from "../controllers/blkio.ts";
import { defaultPeriodUs, sharesToWeight } from "../controllers/cpu.ts";
import { swapMaxV2 } from "../controllers/memory.ts";
import { pidsMax } from "../controllers/pids.ts";
import { policyFromRules, type DevicePolicy, type DeviceRule } from "../devices.ts";
import { CgroupError } from "../files.ts";
import type { CgroupLayout } from "../layout.ts";
import { decimal, isMinusOne, isSet } from "../resources.ts";
import { parseList } from "../stats/cpu.ts";

/** A unit property as busctl takes it: name, D-Bus signature, the words of the value. */
export interface Property {
  readonly name: string;
  readonly signature: string;
  readonly words: readonly string[];
}

/** USEC_INFINITY, CGROUP_LIMIT_MAX: UINT64_MAX. */
const infinity = "18446744073709551615";

const uint64 = (name: string, value: number | string): Property => ({ name, signature: "t", words: [String(value)] });
const bool = (name: string, value: boolean): Property => ({ name, signature: "b", words: [String(value)] });
const text = (name: string, value: string): Property => ({ name, signature: "s", words: [value] });

const limit = (value: number | string): string => (value === "max" || (typeof value === "number" && isMinusOne(value)) ? infinity : typeof value === "number" ? decimal(value) : value);

/**
 * What a new unit is told besides its limits: the process, its slice, that the cgroup below is the runtime's own
 * (Delegate), and accounting for everything, as runc does it. Source: org.freedesktop.systemd1(5), systemd.scope(5).
 */
export function unitProperties(description: string, slice: string, pid: number, layout: CgroupLayout): Property[] {
  return [
    text("Description", description),
    text("Slice", slice),
    bool("Delegate", true),
    { name: "PIDs", signature: "au", words: ["1", String(pid)] },
    ...["MemoryAccounting", "CPUAccounting", layout === "v2" ? "IOAccounting" : "BlockIOAccounting", "TasksAccounting"].map((name) => bool(name, true)),
    bool("DefaultDependencies", false),
  ];
}

/**
 * The part of `resources` that systemd has properties for; the rest, and the exact values, go to the cgroup's files
 * afterwards. systemd must know what it can, since it writes its own values again at a reload.
 * Source: runc's docs/systemd.md, systemd.resource-control(5).
 * @param version systemd's major version.
 */
export function limitProperties(resources: LinuxResources, layout: CgroupLayout, version: number): Property[] {
  const { cpu, pids } = resources;
  const properties = [
    ...(layout === "v2" ? memoryV2(resources) : memoryV1(resources)),
    ...(layout === "v2" ? weightV2(cpu, version) : isSet(cpu?.shares) ? [uint64("CPUShares", cpu.shares)] : []),
    ...quota(cpu?.quota, cpu?.period, version),
    ...(pids?.limit === undefined ? [] : [uint64("TasksMax", limit(pidsMax(pids.limit)))]),
    ...cpuset("AllowedCPUs", cpu?.cpus, version),
    ...cpuset("AllowedMemoryNodes", cpu?.mems, version),
    ...Object.entries(resources.unified ?? {}).flatMap(([key, value]) => unified(key, value.trim(), version)),
  ];
  // `unified` comes last and wins.
  return [...new Map(properties.map((property) => [property.name, property])).values()];
}

function memoryV1({ memory, blockIO }: LinuxResources): Property[] {
  return [
    ...(isSet(memory?.limit) ? [uint64("MemoryLimit", limit(memory.limit))] : []),
    ...(isSet(blockIO?.weight) ? [uint64("BlockIOWeight", blockIO.weight)] : []),
  ];
}

function memoryV2({ memory = {}, blockIO }: LinuxResources): Property[] {
  const swap = swapMaxV2(memory);
  return [
    ...(isSet(memory.limit) ? [uint64("MemoryMax", limit(memory.limit))] : []),
    ...(isSet(memory.reservation) ? [uint64("MemoryLow", limit(memory.reservation))] : []),
    ...(swap === undefined ? [] : [uint64("MemorySwapMax", limit(swap))]),
    ...(isSet(blockIO?.weight) ? [uint64("IOWeight", blkioWeightToIoWeight(blockIO.weight))] : []),
  ];
}

/** CPUWeight=idle, since 252, is 0 on the bus. */
function weightV2(cpu: LinuxCPU | undefined, version: number): Property[] {
  if (cpu?.idle === 1 && version >= 252) return [uint64("CPUWeight", 0)];
  return isSet(cpu?.shares) ? [uint64("CPUWeight", sharesToWeight(cpu.shares))] : [];
}

/** systemd keeps the quota per second, in whole percent: rounded up. The period can be told since 242. */
function quota(value: number | undefined, period: number | undefined, version: number): Property[] {
  if (!isSet(value) && !isSet(period)) return [];
  const periodUs = isSet(period) ? period : defaultPeriodUs;
  const perSecond = isSet(value) && value > 0 ? Math.ceil((value * 1e6) / periodUs / 10_000) * 10_000 : infinity;
  return [...(isSet(period) && version >= 242 ? [uint64("CPUQuotaPeriodUSec", period)] : []), uint64("CPUQuotaPerSecUSec", perSecond)];
}

/** `0-2,7` as a bit mask, least significant byte first; since 244. */
function cpuset(name: string, list: string | undefined, version: number): Property[] {
  if (list === undefined || list === "" || version < 244) return [];
  const mask = bitMask(list);
  return [{ name, signature: "ay", words: [String(mask.length), ...mask.map(String)] }];
}

export function bitMask(list: string): number[] {
  const members = parseList(list.trim());
  const mask = Array.from({ length: Math.floor(Math.max(...members, 0) / 8) + 1 }, () => 0);
  for (const member of members) mask[member >> 3] = (mask[member >> 3] ?? 0) | (1 << (member & 7));
  return mask;
}

const unifiedLimits: Readonly<Record<string, string>> = {
  "memory.high": "MemoryHigh",
  "memory.low": "MemoryLow",
  "memory.min": "MemoryMin",
  "memory.max": "MemoryMax",
  "memory.swap.max": "MemorySwapMax",
  "pids.max": "TasksMax",
};

/** What systemd has no property for is written to the file only. */
function unified(key: string, value: string, version: number): Property[] {
  const name = unifiedLimits[key];
  if (name !== undefined) return [uint64(name, number(key, key === "pids.max" && value === "0" ? "1" : value))];
  switch (key) {
    case "cpu.weight":
      return [uint64("CPUWeight", number(key, value))];
    case "cpu.idle":
      return value === "1" && version >= 252 ? [uint64("CPUWeight", 0)] : [];
    case "cpu.max": {
      const [max = "max", period] = value.split(/\s+/);
      return quota(max === "max" ? -1 : Number(number(key, max)), period === undefined ? undefined : Number(number(key, period)), version);
    }
    case "cpuset.cpus":
      return cpuset("AllowedCPUs", value, version);
    case "cpuset.mems":
      return cpuset("AllowedMemoryNodes", value, version);
    default:
      return [];
  }
}

function number(key: string, value: string): string {
  if (value !== "max" && !/^\d+$/.test(value)) throw new CgroupError(`linux.resources.unified[${JSON.stringify(key)}]`, `must be a number or "max", is ${JSON.stringify(value)}`);
  return limit(value);
}

/**
 * Device rules for systemd, which knows allow lists only. On v2 systemd's program and ours must both allow: of rules
 * that systemd cannot say it is told to allow all. On v1 both write to one list, and systemd once more at a reload:
 * there it is told what it can say, and would then allow less.
 * The policy is always strict: from `auto` systemd 252 does not take back the program that it has attached.
 * Source: systemd.resource-control(5), unit_get_cgroup_mask() in systemd's src/core/cgroup.c.
 */
export function deviceProperties(rules: readonly LinuxDeviceCgroup[], layout: CgroupLayout): Property[] {
  const allow = allowList(policyFromRules(rules), layout);
  return [
    // An empty list first: what a unit has already is otherwise added to.
    { name: "DeviceAllow", signature: "a(ss)", words: ["0"] },
    text("DevicePolicy", "strict"),
    ...(allow.length > 0 ? [{ name: "DeviceAllow", signature: "a(ss)", words: [String(allow.length), ...allow.flat()] }] : []),
  ];
}

const everything = [["block-*", "rwm"], ["char-*", "rwm"]];

function allowList({ allowByDefault, exceptions }: DevicePolicy, layout: CgroupLayout): string[][] {
  const sayable = exceptions.filter(({ major, minor }) => major !== undefined || minor === undefined);
  if (layout === "v2" && (allowByDefault || sayable.length < exceptions.length)) return everything;
  if (allowByDefault) return exceptions.length === 0 ? everything : [];
  return sayable.map((rule) => [deviceSpecifier(rule), rule.access]);
}

function deviceSpecifier({ type, major, minor }: DeviceRule): string {
  const kind = type === "b" ? "block" : "char";
  return minor === undefined ? `${kind}-${major ?? "*"}` : `/dev/${kind}/${major}:${minor}`;
}

const annotationPrefix = "org.systemd.property.";

/**
 * Properties that the config's annotations ask for, `org.systemd.property.NAME` with a value in GVariant text.
 * Source: runc's docs/systemd.md, "Auxiliary properties".
 */
export function annotationProperties(annotations: Readonly<Record<string, string>> = {}): Property[] {
  return Object.entries(annotations).flatMap(([key, value]) => {
    if (!key.startsWith(annotationPrefix)) return [];
    const name = key.slice(annotationPrefix.length);
    if (!/^[A-Za-z]{3,}$/.test(name)) throw new CgroupError(`annotations[${JSON.stringify(key)}]`, "is no property name");
    return [parseVariant(name, value, `annotations[${JSON.stringify(key)}]`)];
  });
}

const variantTypes: Readonly<Record<string, string>> = { byte: "y", int16: "n", uint16: "q", int32: "i", uint32: "u", int64: "x", uint64: "t", boolean: "b", string: "s" };
const quoted = /^(?:'([^'\\]*)'|"([^"\\]*)")$/;

/** Numbers, booleans, strings and arrays of strings. A name in `Sec` is the file's spelling: on the bus it is `USec`. */
function parseVariant(name: string, value: string, field: string): Property {
  const [, type, word] = /^(?:(byte|u?int16|u?int32|u?int64|boolean|string) )?(.*)$/.exec(value.trim()) ?? [];
  const string = quoted.exec(word ?? "");
  if (string !== null) return text(name, string[1] ?? string[2] ?? "");
  if (word === "true" || word === "false") return bool(name, word === "true");
  if (/^-?\d+$/.test(word ?? "")) return numberProperty(name, variantTypes[type ?? "int32"] ?? "i", word as string);
  const items = /^\[(.*)\]$/.exec(word ?? "")?.[1]?.split(",").map((item) => quoted.exec(item.trim()));
  if (items === undefined || items.includes(null)) throw new CgroupError(field, `${JSON.stringify(value)} is no GVariant text of a number, boolean, string or list of strings`);
  return { name, signature: "as", words: [String(items.length), ...items.map((item) => item?.[1] ?? item?.[2] ?? "")] };
}

function numberProperty(name: string, signature: string, word: string): Property {
  if (!name.endsWith("Sec") || name.endsWith("USec")) return { name, signature, words: [word] };
  return uint64(`${name.slice(0, -"Sec".length)}USec`, decimal(Number(word) * 1e6));
}
