import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { mountsBelow } from "./host.ts";

/** The checkout. */
export const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** A tmpfs directory of this test process; removed when the process ends, unless a mount was leaked into it. */
export const workDir = join("/dev/shm", `tssandbox-test-${process.pid}`);

mkdirSync(workDir, { recursive: true, mode: 0o755 });
process.on("exit", () => {
  if (mountsBelow(workDir).length === 0) rmSync(workDir, { recursive: true, force: true });
});

let counter = 0;

/** An id that no other test on this machine uses: processes, cgroups and files of a test are found by it. */
export function uniqueId(): string {
  counter += 1;
  return `tssbtest-${process.pid}-${counter}`;
}
