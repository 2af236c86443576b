/** How large a container's machine is, and what it boots. */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { MEMORY_MIB, NET_BYTES, VCPUS, type Config } from "../config/schema.ts";
import type { Spec } from "../spec/config.ts";
import { ConfigError } from "../spec/report.ts";
import { OVERHEAD_MEGABYTES } from "./host-resources.ts";

const IMAGE_VARIABLE = "TSSANDBOX_VM_IMAGE";
const DEFAULT_IMAGE = "/var/lib/tssandbox/vm";
const MEMORY = "dev.tssandbox.vm.memory-mib";
const VCPUS_ANNOTATION = "dev.tssandbox.vm.vcpus";
const IMAGE = "dev.tssandbox.vm.image";
const HUGE_PAGES = "dev.tssandbox.vm.huge-pages";
const NET = "dev.tssandbox.vm.net-bytes-per-second";
/** What all of a pod's containers have together, on its first one. Source: containerd pkg/cri/annotations. */
const POD = { memory: "io.kubernetes.cri.sandbox-memory", quota: "io.kubernetes.cri.sandbox-cpu-quota", period: "io.kubernetes.cri.sandbox-cpu-period" } as const;
const DEFAULT_MEGABYTES = 512;
const MIB = 1 << 20;

export interface MachineSettings {
  /** From `tssandbox vm build`. */
  readonly kernel: string;
  readonly initramfs: string;
  readonly image: string;
  readonly vcpus: number;
  readonly memoryMegabytes: number;
  /** What it can be given besides while it runs. */
  readonly growthMegabytes: number;
  /** Whether guest memory is taken from the host's pool of huge pages. */
  readonly hugePages: boolean;
  /** Of each card, in each direction; no limit where undefined. */
  readonly netBytesPerSecond: number | undefined;
}

/** What holds where neither environment nor container says otherwise. */
export type HostSettings = NonNullable<Config["vm"]>;

/** @throws Error where there is no image; ConfigError for an annotation out of range */
export function machineSettings(spec: Spec, host: HostSettings): MachineSettings {
  const folder = imageFor(spec, host);
  const [kernel = "", initramfs = "", image = ""] = ["kernel", "initramfs", "image"].map((name) => join(folder, name));
  if (!existsSync(image)) throw new Error(`mode vm: there is no image in ${folder}: make one with tssandbox vm build, or name its folder in ${IMAGE_VARIABLE}`);
  const [memoryMegabytes, hugePages] = [memoryFor(spec, host), takesHugePages(spec, host)];
  return { kernel, initramfs, image, vcpus: vcpusFor(spec, host), memoryMegabytes, growthMegabytes: hugePages ? 0 : growthOf(memoryMegabytes, host), hugePages, netBytesPerSecond: netLimitFor(spec, host) };
}

/** An annotation chooses among what the host has names for: a kernel is the host's to trust, an image may have brought the annotation along. */
function imageFor({ annotations }: Spec, host: HostSettings): string {
  const name = annotations?.[IMAGE];
  if (name === undefined) return process.env[IMAGE_VARIABLE] ?? host.image ?? DEFAULT_IMAGE;
  const images = new Map(Object.entries(host.images ?? {}));
  const folder = images.get(name);
  if (folder === undefined) throw new ConfigError("config.json", `annotations["${IMAGE}"]`, `must be one of the host's vm.images (${[...images.keys()].join(", ") || "there are none"}), is ${JSON.stringify(name)}`);
  return folder;
}

/** They are scarce, and of no use to others while a machine has them: the host says who may ask. */
function takesHugePages({ annotations }: Spec, { hugePages = "never" }: HostSettings): boolean {
  const asked = annotations?.[HUGE_PAGES];
  const field = `annotations["${HUGE_PAGES}"]`;
  if (asked !== undefined && asked !== "true" && asked !== "false") throw new ConfigError("config.json", field, `must be true or false, is ${JSON.stringify(asked)}`);
  if (asked === "true" && hugePages === "never") throw new ConfigError("config.json", field, "this host lends no huge pages: vm.hugePages is never");
  return hugePages === "always" || asked === "true";
}

const POOL = "/sys/kernel/mm/hugepages/hugepages-2048kB";
const HUGE_PAGE_MIB = 2;

/** Before anything is made: the VMM asks for them all at once, in its jail, where nobody hears it. @throws Error */
export function requireHugePages({ hugePages, memoryMegabytes }: MachineSettings): void {
  if (!hugePages) return;
  const [free = 0, reserved = 0] = ["free_hugepages", "resv_hugepages"].map((name) => (existsSync(`${POOL}/${name}`) ? Number(readFileSync(`${POOL}/${name}`, "utf8")) : 0));
  const needed = memoryMegabytes / HUGE_PAGE_MIB;
  if (free - reserved < needed) throw new Error(`mode vm: the machine needs ${needed} huge pages of 2 MiB, and the host has ${free - reserved} left: vm.nr_hugepages`);
}

/** An annotation may ask for less than the host's. */
function netLimitFor({ annotations }: Spec, { netBytesPerSecond }: HostSettings): number | undefined {
  return annotated(annotations, NET, { ...NET_BYTES, most: netBytesPerSecond ?? NET_BYTES.most }) ?? netBytesPerSecond;
}

function memoryFor({ annotations, linux }: Spec, host: HostSettings): number {
  const asked = annotated(annotations, MEMORY, { ...MEMORY_MIB, most: host.maxMemoryMiB ?? MEMORY_MIB.most });
  const limit = linux?.resources?.memory?.limit ?? numberOf(annotations, POD.memory);
  const needed = asked ?? (limit === undefined || limit <= 0 ? (host.memoryMiB ?? DEFAULT_MEGABYTES) : Math.min(Math.ceil(Number(limit) / MIB) + OVERHEAD_MEGABYTES, MEMORY_MIB.most));
  return Math.ceil(needed / 2) * 2;
}

/** MiB: of a section of Linux' memory. */
const SECTION = 128;

/** Up to the host's own memory. Where the kernel promises no more than it has, room that may never be used cannot be had. Source: proc_sys_vm(5), overcommit_memory */
function growthOf(memoryMegabytes: number, { maxMemoryMiB = MEMORY_MIB.most }: HostSettings): number {
  if (readFileSync("/proc/sys/vm/overcommit_memory", "utf8").trim() === "2") return 0;
  const most = Math.min(maxMemoryMiB, Math.floor(totalmem() / MIB));
  return Math.max(0, Math.floor((most - memoryMegabytes) / SECTION) * SECTION);
}

/** As many as its quota pays for; one where it has none. */
function vcpusFor({ annotations, linux }: Spec, host: HostSettings): number {
  const { quota = numberOf(annotations, POD.quota), period = numberOf(annotations, POD.period) } = linux?.resources?.cpu ?? {};
  const paid = quota === undefined || quota <= 0 ? (host.vcpus ?? 1) : Math.ceil(Number(quota) / Number(period ?? 100_000));
  return annotated(annotations, VCPUS_ANNOTATION, { ...VCPUS, most: host.maxVcpus ?? VCPUS.most }) ?? Math.min(paid, availableParallelism(), VCPUS.most);
}

/** An engine's own: what is no number is as if it were not there, and so is 0. */
function numberOf(annotations: Spec["annotations"], name: string): number | undefined {
  const value = Number(annotations?.[name] ?? "");
  return Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

function annotated(annotations: Spec["annotations"], name: string, { least, most }: { readonly least: number; readonly most: number }): number | undefined {
  const text = annotations?.[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d{1,13}$/.test(text) || value < least || value > most) throw new ConfigError("config.json", `annotations["${name}"]`, `must be a whole number from ${least} to ${most}, is ${JSON.stringify(text)}`);
  return value;
}
