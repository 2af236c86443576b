import { ENOENT } from "../../linux/abi/errno.ts";
import { SysError } from "../../linux/errors.ts";
import type { CgroupDir } from "./files.ts";

/** A cgroup directory in memory, for tests: keeps what is written, in order. */
export interface RecordingDir extends CgroupDir {
  /** `file = value`. */
  readonly writes: string[];
}

/** @param files what is there at first. @param refuse errno for a write, or undefined to accept it. */
export function recordingDir(files: Readonly<Record<string, string>>, refuse: (file: string, value: string) => number | undefined = () => undefined): RecordingDir {
  const content = new Map(Object.entries(files));
  const writes: string[] = [];
  return {
    path: "/cgroup",
    writes,
    has: (file) => content.has(file),
    read(file) {
      const value = content.get(file);
      if (value === undefined) throw new SysError({ syscall: "read", errno: ENOENT, path: file });
      return value;
    },
    write(file, value) {
      const errno = refuse(file, value);
      if (errno !== undefined) throw new SysError({ syscall: "write", errno, path: file });
      content.set(file, value);
      writes.push(`${file} = ${value}`);
    },
  };
}
