import { dirname, join } from "node:path";
import process from "node:process";
import type { ProgramFiles } from "../../vmm/image/build.ts";

/** This program's own files. The bundle's caches were made for the flags that it was started with. */
export function programFiles(): ProgramFiles {
  return { node: process.execPath, flags: process.execArgv, bundle: dirname(process.argv[1] ?? "") };
}

/** The VMM's program (vmm/main.ts), which is bundled by itself. */
export const vmmProgram = (): string => join(programFiles().bundle, "vmm", "tssandbox.cjs");
