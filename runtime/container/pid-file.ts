import { renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { inStep } from "../../linux/errors.ts";

/** The bare number, without newline; never half written. Engines read it as soon as it is there. */
export function writePidFile(path: string, pid: number): void {
  const temporary = join(dirname(path), `.${basename(path)}`);
  inStep("pid file", () => {
    writeFileSync(temporary, String(pid), { mode: 0o644 });
    renameSync(temporary, path);
  });
}
