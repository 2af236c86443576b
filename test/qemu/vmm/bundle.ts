// Bundles what runs in the machine into dist/, which is part of what the machine gets; the VMM is there already, from the build.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "../../../scripts/bundle.ts";
import { REPOSITORY } from "../images.ts";

/** Program -> folder below dist/. */
const BUNDLES = { "test/qemu/vmm/facts.ts": "vmm-facts" } as const;

export async function bundleForMachine(): Promise<void> {
  for (const [program, folder] of Object.entries(BUNDLES)) await bundle(join(REPOSITORY, program), join(REPOSITORY, "dist", folder), []);
}

export function removeBundles(): void {
  for (const folder of Object.values(BUNDLES)) rmSync(join(REPOSITORY, "dist", folder), { recursive: true, force: true });
}

if (import.meta.main) await bundleForMachine();
