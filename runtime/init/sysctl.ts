import * as fcntl from "../../linux/abi/fcntl.ts";
import type { Fd } from "../../linux/fd.ts";
import { openAt, writeAll } from "../../linux/file.ts";

/**
 * Writes kernel parameters of the namespaces this process is in, on the host's procfs: the container's may be anything (CVE-2025-52881).
 * A dot separates as sysctl(8) has it; where the name holds a slash, dots are part of the names.
 */
export function setSysctls(hostProc: Fd, parameters: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(parameters)) {
    const path = name.includes("/") ? name : name.replaceAll(".", "/");
    using file = openAt(hostProc, `sys/${path}`, fcntl.O_WRONLY, { resolve: fcntl.RESOLVE_BENEATH });
    writeAll(file, value);
  }
}
