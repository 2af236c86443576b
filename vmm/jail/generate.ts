/** Writes the VMM's filters as compiled from their policies: `node vmm/jail/generate.ts`; a unit test finds what is stale. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile } from "seccomp-bpf-ts";
import { filterModule } from "../../policies/syscalls/embed.ts";
import { compileVmmFilter } from "./policy.ts";
import { startPolicy } from "./start-policy.ts";

/** The compiled files as they should be, by name. */
export const compiledModules = (): Readonly<Record<string, string>> => ({
  "compiled.ts": filterModule("vmmFilter", "policy.ts", compileVmmFilter()),
  "start-compiled.ts": filterModule("startFilter", "start-policy.ts", compile(startPolicy())),
});

if (import.meta.main) for (const [name, text] of Object.entries(compiledModules())) writeFileSync(join(import.meta.dirname, name), text);
