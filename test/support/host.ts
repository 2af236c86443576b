import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** What can be seen of one container on the host. Empty lists everywhere mean that nothing is left. */
export type HostState = {
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly processes: readonly string[];
  readonly state: readonly string[];
};

const cgroupRoot = "/sys/fs/cgroup";

/** Mount points at or below a directory, as this process sees them, in mount order. */
export function mountsBelow(dir: string): string[] {
  return mountPoints().filter((point) => point === dir || point.startsWith(`${dir}/`));
}

/** proc_pid_mountinfo(5): the fifth field, with its octal escapes undone. */
function mountPoints(): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8").trim().split("\n").map((line) => unescapeOctal(line.split(" ")[4] ?? ""));
}

function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Mounts on the host's own directories: no container may add to them or take from them. */
export function systemMounts(): string[] {
  const foreign = /^\/(tmp|dev\/shm|var|run|root|work|home|mnt)\//;
  return mountPoints().filter((point) => !foreign.test(point));
}

/** cgroup directories, in every hierarchy, whose name contains the id. */
export function cgroupsOf(id: string): string[] {
  const found: string[] = [];
  const walk = (dir: string, depth: number) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const path = join(dir, entry.name);
      if (entry.name.includes(id)) found.push(path);
      if (depth > 0) ignoreGone(() => walk(path, depth - 1));
    }
  };
  walk(cgroupRoot, 6);
  return found;
}

/** Processes, zombies included, that sit in a cgroup of the id or name it on their command line; the supervisor of the tests does not count. */
export function processesOf(id: string): string[] {
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    ignoreGone(() => {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      const cgroup = readFileSync(`/proc/${pid}/cgroup`, "utf8");
      if (Number(pid) === process.pid || /guest\/(supervise|console|notify)-/.test(command)) return;
      if (cgroup.includes(id) || command.includes(id)) found.push(`${pid} ${command || readFileSync(`/proc/${pid}/comm`, "utf8").trim()}`);
    });
  }
  return found;
}

/** Names that contain the id in the places where runtimes keep state, besides the state directory itself. */
function stateOf(id: string, stateRoot: string): string[] {
  const own = existsSync(stateRoot) ? readdirSync(stateRoot).map((name) => join(stateRoot, name)) : [];
  const elsewhere = ["/run", "/run/runc", "/run/tssandbox", "/tmp", "/var/run", "/dev/shm"].flatMap((dir) =>
    existsSync(dir) ? readdirSync(dir).filter((name) => name.includes(id)).map((name) => join(dir, name)) : [],
  );
  return [...own, ...elsewhere];
}

/** Everything of the container that is on the host at this moment. `dir` is its bundle. */
export function hostState(id: string, dir: string, stateRoot: string): HostState {
  return { mounts: mountsBelow(dir), cgroups: cgroupsOf(id), processes: processesOf(id), state: stateOf(id, stateRoot) };
}

export const nothingLeft: HostState = { mounts: [], cgroups: [], processes: [], state: [] };

/** Runs an action on a process or directory that may disappear meanwhile. */
export function ignoreGone<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (["ENOENT", "ESRCH", "ENODEV"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** A field of /proc/PID/status, or undefined if the process is gone. */
export function statusField(pid: number, field: string): string | undefined {
  const text = ignoreGone(() => readFileSync(`/proc/${pid}/status`, "utf8"));
  return text?.split("\n").find((line) => line.startsWith(`${field}:`))?.slice(field.length + 1).trim();
}

/** Whether a process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  const state = statusField(pid, "State");
  return state !== undefined && !state.startsWith("Z") && !state.startsWith("X");
}

/** The inode number that names a namespace of a process. */
export function namespaceOf(pid: number | "self", kind: string): number {
  const link = readlinkSync(`/proc/${pid}/ns/${kind}`);
  return Number(/\[(\d+)\]/.exec(link)?.[1]);
}
