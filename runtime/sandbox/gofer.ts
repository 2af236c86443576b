/** The gofer's process. */
import { check } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { writeAll } from "../../linux/file.ts";
import { tryClone } from "../../linux/fork.unsafe.ts";
import type { NodeResources } from "../../linux/inherited.unsafe.ts";
import type { FileSystem } from "../../gofer/fuse/file-system.ts";
import { HostFileSystem } from "../../gofer/hostfs/file-system.ts";
import { serveGofer, type Served } from "../../gofer/serve.ts";
import type { Joining } from "../cgroups/index.ts";
import { complaining } from "./complaining.ts";
import type { GuestFiles } from "./files.ts";

export interface GoferRequest {
  readonly files: GuestFiles;
  /** /dev/fuse, one for each of `files.fileSystems`, in their order. */
  readonly devices: readonly Fd[];
  /** The sandbox's own files for /proc and /sys. */
  readonly system: FileSystem;
  readonly joining: Joining;
  readonly inherited: NodeResources;
}

/** Preconditions: children are born in the sandbox's pid namespace. @returns its pid. */
export function startGofer({ files, devices, system, joining }: GoferRequest): number {
  const pid = tryClone({ namespaces: 0, cgroup: joining.birthplace }, () => {
    for (const tasks of joining.tasks) writeAll(tasks, "0");
    return complaining("gofer", () => serveGofer(servedBy({ files, devices, system })));
  });
  return check(pid, "clone3");
}

function servedBy({ files, devices, system }: Pick<GoferRequest, "files" | "devices" | "system">): Served[] {
  return files.fileSystems.flatMap((name, i) => {
    const fuse = devices[i];
    const loan = files.loans.get(name);
    return fuse === undefined ? [] : [{ fuse, fileSystem: loan === undefined ? system : new HostFileSystem(loan) }];
  });
}
