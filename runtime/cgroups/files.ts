import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmdirSync, writeSync } from "node:fs";
import { EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, ENOTEMPTY, EOPNOTSUPP } from "../../linux/abi/errno.ts";
import { isErrno, SysError } from "../../linux/errors.ts";
import { sleepMs, waitUntil } from "../../linux/sleep.ts";


/** A request that cannot be met, found by us and not by the kernel. `field` is the config field or the cgroup path. */
export class CgroupError extends Error {
  override readonly name = "CgroupError";
  readonly field: string;

  constructor(field: string, reason: string) {
    super(`${field}: ${reason}`);
    this.field = field;
  }
}

/** One cgroup directory as its controllers see it. Tests put a recording one in its place. */
export interface CgroupDir {
  readonly path: string;
  has(file: string): boolean;
  /** @throws SysError */
  read(file: string): string;
  /** Writes one value, in one write(2): cgroup files take no more. @throws SysError naming controller, file and value. */
  write(file: string, value: string): void;
}

/** A directory of the host's cgroup file system. `controller` is for error messages only. */
export function cgroupDir(controller: string, path: string): CgroupDir {
  const step = `cgroup ${controller}`;
  return {
    path,
    has: (file) => existsSync(`${path}/${file}`),
    read: (file) => asSysError({ step, syscall: "read", path: `${path}/${file}` }, () => readFileSync(`${path}/${file}`, "utf8")),
    write: (file, value) =>
      asSysError({ step, syscall: "write", path: `${path}/${file}`, hint: `value ${JSON.stringify(value)}` }, () => writeOnce(`${path}/${file}`, value)),
  };
}

/** Without O_CREAT: a missing file must be ENOENT, not the EPERM that creating in cgroupfs gives. */
function writeOnce(path: string, value: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    writeSync(fd, value);
  } finally {
    closeSync(fd);
  }
}

/** Node's file errors, told as a step of ours. */
function asSysError<T>(fields: { step: string; syscall: string; path: string; hint?: string }, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).errno;
    throw typeof errno === "number" ? new SysError({ ...fields, errno: -errno }) : error;
  }
}

/** The value of `file`, or undefined where kernel or configuration do not have it, or the cgroup is gone. */
export function readOptional(dir: CgroupDir, file: string): string | undefined {
  try {
    return dir.read(file).trim();
  } catch (error) {
    if (isErrno(error, ENOENT, ENODEV, EOPNOTSUPP)) return undefined;
    throw error;
  }
}

/** mkdir(2). @returns false where it exists already. */
export function makeDir(path: string): boolean {
  return asSysError({ step: "cgroup", syscall: "mkdir", path }, () => {
    try {
      mkdirSync(path, 0o755);
      return true;
    } catch (error) {
      if (isErrno(error, EEXIST)) return false;
      throw error;
    }
  });
}

/** The cgroups directly below `path`; none where it is gone. */
export function childCgroups(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => `${path}/${entry.name}`);
  } catch (error) {
    if (isErrno(error, ENOENT, ENODEV)) return [];
    throw error;
  }
}

/** The pids of `path` alone, without those below it; none where it is gone. In a threaded v2 cgroup, its threads. */
export function readPids(path: string): number[] {
  const dir = cgroupDir("procs", path);
  return (readOptional(dir, "cgroup.procs") ?? readOptional(dir, "cgroup.threads") ?? "").split("\n").filter(Boolean).map(Number);
}

/** The pids of `path` and of every cgroup below it. A pid is 0 where it lives in a pid namespace that we cannot see. */
export function readPidsRecursive(path: string): number[] {
  return [...readPids(path), ...childCgroups(path).flatMap(readPidsRecursive)];
}

/**
 * Moves a process. A task that is just being born (TASK_NEW) answers EINVAL for a moment: tried again for 150 ms.
 * Source: cpu_cgroup_can_attach() in kernel/sched/core.c.
 */
export function joinCgroup(controller: string, path: string, pid: number): void {
  const dir = cgroupDir(controller, path);
  for (let attempt = 0; ; attempt++) {
    try {
      dir.write("cgroup.procs", String(pid));
      return;
    } catch (error) {
      if (!isErrno(error, EINVAL) || attempt === 4) throw error;
      sleepMs(30);
    }
  }
}

/**
 * Removes `path` and every cgroup below it. A cgroup of processes that are still exiting is busy: tried again for
 * `timeoutMs`. A missing one is a success.
 * @throws SysError EBUSY with the number of processes left.
 */
export function removeTree(path: string, timeoutMs: number): void {
  let busy: unknown;
  const gone = waitUntil(timeoutMs, () => {
    try {
      removeOnce(path);
      return true;
    } catch (error) {
      if (!isErrno(error, EBUSY, ENOTEMPTY)) throw error;
      busy = error;
      return false;
    }
  });
  if (!gone && busy instanceof SysError) {
    throw new SysError({ ...busy.fields, hint: `${readPidsRecursive(path).length} processes are left in it` });
  }
}

/** Most have none below them: those are looked for only where the kernel says that it is busy. */
function removeOnce(path: string): void {
  try {
    return removeOne(path);
  } catch (error) {
    const children = isErrno(error, EBUSY, ENOTEMPTY) ? childCgroups(path) : [];
    if (children.length === 0) throw error;
    for (const child of children) removeOnce(child);
  }
  removeOne(path);
}

function removeOne(path: string): void {
  asSysError({ step: "cgroup", syscall: "rmdir", path }, () => {
    try {
      rmdirSync(path);
    } catch (error) {
      // A read-only mount says EROFS even of a directory that does not exist.
      if (!isErrno(error, ENOENT, ENODEV) && existsSync(path)) throw error;
    }
  });
}

/** Removes `path` if nothing is in it; what others use stays. @returns whether it is gone. */
export function removeIfUnused(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return !existsSync(path);
  }
}
