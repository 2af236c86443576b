/**
 * What the host's cgroup of a container allows, in mode vm. In it are the stand-in and the gofer, those of `exec`, and of the container that has brought
 * the machine the VMM: with guest memory, and the vCPUs' time. The container's own limits are kept by the guest's kernel; here is what
 * holds where the guest does not keep them.
 */
import type { LinuxCPU, LinuxResources } from "../spec/config-resources.ts";

const MIB = 1 << 20;
/** MiB of the processes around a container: a gofer, a stand-in, and what those of `exec` write of the heap that they share. */
const AROUND = 192;
/** MiB of a VMM beside its guest's memory, KVM's page tables included, and what each vCPU's thread may take of V8's heap. */
const VMM = 128;
const VMM_VCPU = 32;

/** MiB that the guest's kernel and agent take, beside its containers' limits. */
export const OVERHEAD_MEGABYTES = 192;
/** MiB: Linux takes memory in parts of 4 MiB, its largest run of pages. */
const GROWTH_STEP = 4;

/** A machine that the container brings along. */
export interface HostedMachine {
  /** What it boots with. */
  readonly memoryMegabytes: number;
  /** What it can be given besides while it runs. */
  readonly growthMegabytes: number;
  /** What it has been given of that. */
  readonly grownMegabytes: number;
  readonly vcpus: number;
  /** Whether its memory is counted as huge pages, and not here. */
  readonly hugePages: boolean;
  /** Whether others can join: then its time is not this container's alone. */
  readonly shared: boolean;
}

/** Character devices that a stand-in opens (Linux Documentation/admin-guide/devices.txt). */
const OPENED = [{ name: "/dev/net/tun", major: 10, minor: 200 }, { name: "/dev/kvm", major: 10, minor: 232 }] as const;

/** Kept by the guest's kernel, and beside the point for the processes that are here. */
const GUESTS = /^(memory|pids|hugetlb)\./;

/** @param machine undefined for a container that joins another's. */
export function hostResources(resources: LinuxResources, machine: HostedMachine | undefined): LinuxResources {
  const { memory: _memory, pids: _pids, hugepageLimits: _huge, unified, devices = [], cpu, ...rest } = resources;
  const kept = Object.entries(unified ?? {}).filter(([key]) => !GUESTS.test(key) && !(machine?.shared === true && key === "cpu.max"));
  return {
    ...rest,
    memory: { limit: megabytesOf(machine) * MIB },
    devices: [...devices, ...OPENED.map(({ major, minor }) => ({ allow: true, type: "c", major, minor, access: "rw" }))],
    ...(cpu === undefined ? {} : { cpu: machine?.shared === true ? withoutBandwidth(cpu) : cpu }),
    ...(kept.length === 0 ? {} : { unified: Object.fromEntries(kept) }),
  };
}

const megabytesOf = (machine: HostedMachine | undefined): number =>
  AROUND + (machine === undefined ? 0 : (machine.hugePages ? 0 : machine.memoryMegabytes + machine.grownMegabytes) + VMM + machine.vcpus * VMM_VCPU);

/** Of a change to the machine's size. */
export const hostMemory = (machine: HostedMachine): LinuxResources => ({ memory: { limit: megabytesOf(machine) * MIB } });

/** MiB beside what it boots with, so that its containers' limits fit. @param limits bytes; of containers that have none it takes no note */
export function growthFor({ memoryMegabytes, growthMegabytes }: HostedMachine, limits: readonly number[]): number {
  const limited = limits.filter((limit) => limit > 0);
  const needed = limited.reduce((sum, limit) => sum + Math.ceil(limit / MIB), OVERHEAD_MEGABYTES);
  const missing = Math.ceil((needed - memoryMegabytes) / GROWTH_STEP) * GROWTH_STEP;
  return limited.length === 0 ? 0 : Math.min(Math.max(0, missing), growthMegabytes);
}

const withoutBandwidth = ({ quota: _quota, period: _period, burst: _burst, realtimeRuntime: _runtime, realtimePeriod: _realtime, ...others }: LinuxCPU): LinuxCPU => others;

/** While the machine boots: on a tenth of a processor that would take half a minute, and the guest that is to be held is not there yet. */
export function bootResources({ cpu, unified, ...rest }: LinuxResources): LinuxResources {
  const { "cpu.max": _max, ...others } = unified ?? {};
  return { ...rest, ...(cpu === undefined ? {} : { cpu: withoutBandwidth(cpu) }), ...(unified === undefined ? {} : { unified: others }) };
}

/** Files of cgroup v2 that name the host's processors or disks. */
const HOSTS = /^(cpuset|rdma|misc)\.|^io\.(max|latency|cost)/;

/**
 * What the guest's kernel is told to keep. Processors, memory nodes and disks are the host's by number, who keeps those limits himself: the guest has
 * others, and its kernel refuses what names none of its own. Network classes and RDMA are the host's devices', too.
 */
export function guestResources({ blockIO, cpu, network: _network, rdma: _rdma, unified, ...rest }: LinuxResources): LinuxResources {
  const { cpus: _cpus, mems: _mems, ...time } = cpu ?? {};
  const kept = Object.entries(unified ?? {}).filter(([key]) => !HOSTS.test(key));
  return {
    ...rest,
    ...(cpu === undefined ? {} : { cpu: time }),
    ...(blockIO?.weight === undefined ? {} : { blockIO: { weight: blockIO.weight } }),
    ...(kept.length === 0 ? {} : { unified: Object.fromEntries(kept) }),
  };
}

/** What of a change holds on the host: the bandwidth, weight and place of processors, and of disks. The machine keeps its size. */
export function hostChange({ cpu, blockIO }: LinuxResources, shared: boolean): LinuxResources {
  return { ...(cpu === undefined ? {} : { cpu: shared ? withoutBandwidth(cpu) : cpu }), ...(blockIO === undefined ? {} : { blockIO }) };
}
