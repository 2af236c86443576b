/**
 * The files of /proc that tell about the machine, as the sandbox's own. What is neither here nor a process's is hidden (runtime/init/system.ts).
 * Sources: proc(5) and the man page named proc_FILE(5).
 */
import { IDENTITY, type Uts } from "../kernel.ts";
import type { Machine } from "../machine.ts";
import { directory, file, type SyntheticDirectory } from "../../gofer/synthetic.ts";
import { constant, line } from "./lines.ts";
import { procSys } from "./proc-sys.ts";

const KIB = 1024;
/** Clock ticks a second, as user space knows them. Source: time(7), "The software clock, HZ, and jiffies". */
const TICKS = 100;

export function procTree(machine: Machine, uts: Uts, sysctls: Readonly<Record<string, string>>): SyntheticDirectory {
  return directory({
    cmdline: constant(""),
    cpuinfo: file(() => cpuinfo(machine)),
    devices: file(() => "Character devices:\n  1 mem\n  5 /dev/tty\n136 pts\n\nBlock devices:\n"),
    filesystems: file(() => ["proc", "tmpfs", "devpts", "mqueue", "fuse", "overlay"].map((name) => `nodev\t${name}\n`).join("")),
    loadavg: line(() => `0.00 0.00 0.00 1/${machine.tasks} 1`),
    meminfo: file(() => meminfo(machine)),
    partitions: file(() => "major minor  #blocks  name\n\n"),
    diskstats: file(() => ""),
    stat: file(() => stat(machine)),
    swaps: file(() => "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
    sys: procSys(machine, uts, sysctls),
    uptime: line(() => `${machine.uptime.toFixed(2)} 0.00`),
    version: line(() => `${IDENTITY.sysname} version ${IDENTITY.release} ${IDENTITY.version}`),
    vmstat: file(() => ""),
  });
}

/** What differs between hosts of one kind, and between moments, is left out. */
const TELLTALE = /^(microcode|cpu MHz|bogomips|bugs|physical id|apicid|initial apicid)\s*:/;

function cpuinfo({ cpus: count, chassis: { processor } }: Machine): string {
  const lines = processor.split("\n").filter((text) => text !== "" && !TELLTALE.test(text));
  return Array.from({ length: count }, (_, i) => `${lines.map((text) => renumber(text, i, count)).join("\n")}\n\n`).join("");
}

function renumber(text: string, index: number, count: number): string {
  const [name = "", value = ""] = text.split(/\s*:\s?/, 2);
  const values: Readonly<Record<string, number>> = { processor: index, "core id": index, siblings: count, "cpu cores": count };
  const own = values[name];
  return own === undefined ? text : text.replace(/:.*/, `: ${own}`) || value;
}

function meminfo(machine: Machine): string {
  const total = machine.memoryTotal;
  const free = machine.memoryFree;
  const fields = {
    MemTotal: total, MemFree: free, MemAvailable: free, Buffers: 0, Cached: 0, SwapCached: 0, Active: 0, Inactive: 0, "Active(anon)": 0, "Inactive(anon)": 0,
    "Active(file)": 0, "Inactive(file)": 0, Unevictable: 0, Mlocked: 0, SwapTotal: 0, SwapFree: 0, Dirty: 0, Writeback: 0, AnonPages: total - free, Mapped: 0,
    Shmem: 0, KReclaimable: 0, Slab: 0, SReclaimable: 0, SUnreclaim: 0, PageTables: 0, CommitLimit: total, Committed_AS: total - free,
  };
  return Object.entries(fields).map(([name, bytes]) => `${`${name}:`.padEnd(16)}${String(Math.floor(bytes / KIB)).padStart(8)} kB\n`).join("");
}

/** Times are not told: they are all CPUs', the neighbours' work included. */
function stat(machine: Machine): string {
  const idle = Math.floor(machine.uptime * TICKS);
  const cpus = Array.from({ length: machine.cpus }, (_, i) => `cpu${i} 0 0 0 ${idle} 0 0 0 0 0 0\n`);
  const started = Math.floor(Date.now() / 1000 - machine.uptime);
  return `cpu  0 0 0 ${idle * cpus.length} 0 0 0 0 0 0\n${cpus.join("")}intr 0\nctxt 0\nbtime ${started}\nprocesses ${machine.tasks}\nprocs_running 1\nprocs_blocked 0\n`;
}
