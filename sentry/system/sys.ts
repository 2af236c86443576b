/**
 * /sys: the processors, and the sandbox's limits as a cgroup v2 would show them, which is where language runtimes look for them.
 * Sources: Linux Documentation/ABI/testing/sysfs-devices-system-cpu, Documentation/admin-guide/cgroup-v2.rst.
 */
import type { Machine } from "../machine.ts";
import { directory, file, type SyntheticDirectory } from "../../gofer/synthetic.ts";
import { constant, line } from "./lines.ts";

const PERIOD_US = 100_000;
const PAGE = 4096;

export function sysTree(machine: Machine): SyntheticDirectory {
  return directory({
    block: directory({}),
    bus: directory({}),
    class: directory({}),
    devices: directory({ system: directory({ cpu: cpus(machine), node: directory({ online: constant(0), possible: constant(0) }) }) }),
    fs: directory({ cgroup: cgroup(machine) }),
    kernel: directory({ mm: directory({ transparent_hugepage: directory({ enabled: constant("always [madvise] never"), hpage_pmd_size: constant(2097152) }) }) }),
  });
}

/** How many there are is settled when the sandbox is made; a quota that changes later changes the files' contents, not their number. */
function cpus(machine: Machine): SyntheticDirectory {
  const range = line(() => (machine.cpus === 1 ? "0" : `0-${machine.cpus - 1}`));
  const each = Array.from({ length: machine.cpus }, (_, i) => [`cpu${i}`, directory({ online: constant(1) })] as const);
  return directory({ ...Object.fromEntries(each), online: range, possible: range, present: range, offline: constant("") });
}

function cgroup(machine: Machine): SyntheticDirectory {
  return directory({
    "cgroup.controllers": constant("cpu memory pids"),
    "cgroup.procs": file(() => "1\n"),
    "cgroup.type": constant("domain"),
    "cpu.max": line(() => `${machine.quota === undefined ? "max" : Math.round(machine.quota * PERIOD_US)} ${PERIOD_US}`),
    "memory.current": line(() => machine.memoryUsed),
    "memory.max": line(() => (machine.memoryLimit === undefined ? "max" : machine.memoryLimit - (machine.memoryLimit % PAGE))),
    "pids.current": line(() => machine.tasks),
    "pids.max": line(() => machine.taskLimit ?? "max"),
  });
}
