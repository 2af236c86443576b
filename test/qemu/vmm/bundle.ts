// Bundles the VMM and what runs in the machine, into dist/, which is part of what the machine gets.
import { join } from "node:path";
import { bundle } from "../../../scripts/bundle.ts";
import { REPOSITORY } from "../images.ts";

export async function bundleForMachine(): Promise<void> {
  await bundle(join(REPOSITORY, "vmm/main.ts"), join(REPOSITORY, "dist/vmm"), []);
  await bundle(join(REPOSITORY, "test/qemu/vmm/facts.ts"), join(REPOSITORY, "dist/vmm-facts"), []);
}

if (import.meta.main) await bundleForMachine();
