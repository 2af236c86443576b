import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { mountsBelow } from "./host.ts";

/** The checkout. */
export const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const prefix = "tssandbox-test-";

/** A tmpfs directory of this test process; see `removeWorkDir`. */
export const workDir = join("/dev/shm", `${prefix}${process.pid}`);

for (const name of readdirSync("/dev/shm")) {
  if (name.startsWith(prefix) && !existsSync(`/proc/${name.slice(prefix.length)}`)) removeTree(join("/dev/shm", name));
}
mkdirSync(workDir, { recursive: true, mode: 0o755 });

/** Call it after the last test of a file: vitest ends its workers without an exit event. What a killed one left is removed at the next start. */
export function removeWorkDir(): void {
  removeTree(workDir);
}

/** Never descends into a mount that was leaked. */
function removeTree(dir: string): void {
  if (mountsBelow(dir).length === 0) rmSync(dir, { recursive: true, force: true });
}

let counter = 0;

/** An id that no other test on this machine uses: processes, cgroups and files of a test are found by it. */
export function uniqueId(): string {
  counter += 1;
  return `tssbtest-${process.pid}-${counter}`;
}
