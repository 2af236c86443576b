/** Writes the gofer's filter as compiled from its allow list: `node gofer/generate.ts`; a unit test finds what is stale. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile } from "seccomp-bpf-ts";
import { filterModule } from "../policies/syscalls/embed.ts";
import { goferPolicy } from "./policy.ts";

/** compiled.ts as it should be. */
export const compiledModule = (): string => filterModule("goferFilter", "policy.ts", compile(goferPolicy()));

if (import.meta.main) writeFileSync(join(import.meta.dirname, "compiled.ts"), compiledModule());
