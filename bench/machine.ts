/** What the machine is, for a result. */
import { readFileSync } from "node:fs";
import { arch, availableParallelism, loadavg, release, totalmem } from "node:os";
import type { Result } from "./result.ts";

export type Machine = Omit<Result["machine"], "loadAfter">;

export function describeMachine(): Machine {
  return {
    kernel: release(),
    architecture: arch(),
    processor: field("/proc/cpuinfo", /^model name\s*: (.*)$/m),
    processors: availableParallelism(),
    memory: totalmem(),
    system: field("/etc/os-release", /^PRETTY_NAME="?(.*?)"?$/m),
    loadBefore: loadavg(),
  };
}

function field(path: string, pattern: RegExp): string {
  try {
    return pattern.exec(readFileSync(path, "utf8"))?.[1] ?? "unknown";
  } catch {
    return "unknown";
  }
}
