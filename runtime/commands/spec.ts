import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { effectiveGid, effectiveUid } from "../../linux/credentials.ts";
import { detectLayout } from "../cgroups/index.ts";
import type { Registry } from "./registry.ts";
import { templateSpec } from "../spec/template.ts";

export function registerSpec({ program, action }: Registry): void {
  program
    .command("spec")
    .description("write a config.json to start from")
    .option("-b, --bundle <dir>", "the bundle", ".")
    .option("--rootless", "for an ordinary user")
    .action(
      action((globals, flags: { bundle: string; rootless?: boolean }) => {
        const path = join(flags.bundle, "config.json");
        if (existsSync(path)) throw new Error(`${path} exists already; remove it first`);
        const rootless = flags.rootless === true || globals.rootless ? { uid: effectiveUid(), gid: effectiveGid() } : undefined;
        const spec = templateSpec({ rootless, cgroupNamespace: detectLayout() === "v2" });
        writeFileSync(path, `${JSON.stringify(spec, null, 2)}\n`);
        return 0;
      }),
    );
}
