import { renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { inStep } from "../../linux/errors.ts";

/**
 * The bare number, without newline; never half written. Engines read it as soon as it is there.
 * @param undo removes it again: to an engine a pid file means success, whatever the exit code.
 */
export function writePidFile(path: string, pid: number, undo: DisposableStack): void {
  inStep("pid file", () => {
    const temporary = join(dirname(path), `.${basename(path)}`);
    undo.defer(() => rmSync(temporary, { force: true }));
    writeFileSync(temporary, String(pid), { mode: 0o644 });
    renameSync(temporary, path);
    undo.defer(() => rmSync(path, { force: true }));
  });
}
