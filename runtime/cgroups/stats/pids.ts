import { readPids, type CgroupDir } from "../files.ts";
import { omitZero, readCounter, unlimited, type Counter } from "./parse.ts";

/** No `limit` means none. */
export interface PidsStats {
  readonly current?: Counter;
  readonly limit?: Counter;
}

/** The same files in v1 and v2. Without the controller the processes are counted. */
export function pidsStats(dir: CgroupDir): PidsStats {
  const limit = readCounter(dir, "pids.max");
  return omitZero({ current: readCounter(dir, "pids.current") ?? readPids(dir.path).length, limit: limit === unlimited ? undefined : limit });
}
