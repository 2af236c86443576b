/** Writes the sentry's filters as compiled from their allow lists: `node sentry/generate.ts`; a unit test finds what is stale. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { filterModule } from "../policies/syscalls/embed.ts";
import { compileSentryFilter } from "./policy.ts";
import { compileStrictSentryFilter } from "./strict/policy.ts";

/** Path from this folder to content as it should be. */
export const generated: Readonly<Record<string, () => string>> = {
  "compiled.ts": () => filterModule("sentryFilter", "policy.ts", compileSentryFilter("notify")),
  "platform/ptrace/compiled.ts": () => filterModule("tracingSentryFilter", "policy.ts", compileSentryFilter("ptrace")),
  "strict/compiled.ts": () => filterModule("strictSentryFilter", "policy.ts", compileStrictSentryFilter("notify")),
  "strict/compiled-ptrace.ts": () => filterModule("strictTracingSentryFilter", "policy.ts", compileStrictSentryFilter("ptrace")),
};

if (import.meta.main) for (const [path, content] of Object.entries(generated)) writeFileSync(join(import.meta.dirname, path), content());
