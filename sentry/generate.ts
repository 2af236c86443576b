/** Writes the sentry's filter as compiled from its allow list: `node sentry/generate.ts`; a unit test finds what is stale. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { filterModule } from "../policies/syscalls/embed.ts";
import { compileSentryFilter } from "./policy.ts";

/** compiled.ts as it should be. */
export const compiledModule = (): string => filterModule("sentryFilter", "policy.ts", compileSentryFilter());

if (import.meta.main) writeFileSync(join(import.meta.dirname, "compiled.ts"), compiledModule());
