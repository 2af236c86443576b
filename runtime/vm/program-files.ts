import { realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { shellCode } from "../../linux/process.ts";
import { interpreterOf, listedLibraries } from "../../vmm/image/libraries.ts";
import type { ProgramFiles } from "../../vmm/image/build.ts";
import type { JailFiles } from "../../vmm/jail/enter.ts";
import { JAIL_PATHS } from "../../vmm/jail/start.ts";
import { run } from "../spawn.ts";

/** This program's own files. The bundle's caches were made for the flags that it was started with. */
export function programFiles(): ProgramFiles {
  return { node: process.execPath, flags: process.execArgv, bundle: dirname(process.argv[1] ?? "") };
}

const LOADER_TIMEOUT_MS = 10_000;

/** What stands in a VMM's jail: its program (vmm/main.ts) is bundled by itself. Preconditions: as of `fork`. @throws Error where Node's loader cannot say what it needs */
export function vmmFiles(): JailFiles {
  const { node, bundle } = programFiles();
  const loader = interpreterOf(node);
  const listed = run({ path: loader, args: [loader, "--list", node], env: [], input: "", timeoutMs: LOADER_TIMEOUT_MS });
  if (listed.kind !== "ended" || shellCode(listed.status) !== 0) throw new Error(`${node}: the loader does not tell its libraries`);
  const paths = [loader, ...listedLibraries(listed.output)];
  return new Map([[JAIL_PATHS.node, realpathSync(node)], [JAIL_PATHS.folder, join(bundle, "vmm")], ...paths.map((path) => [path, realpathSync(path)] as const)]);
}
