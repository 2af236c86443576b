// What `tssandbox vm build` makes of the lane's own kernel, in dist/, which is part of what the machine gets.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareImages, REPOSITORY } from "../images.ts";

/** As the machine sees it. */
export const GUEST_IMAGE = "/repo/dist/vm-image";
const OUTPUT = join(REPOSITORY, "dist/vm-image");

/** Preconditions: dist/ is built. */
export async function buildGuestImage(): Promise<void> {
  const { kernel, root } = await prepareImages();
  const scratch = mkdtempSync(join(tmpdir(), "tssandbox-modules-"));
  try {
    // debugfs reads the machine's file system without mounting it.
    execFileSync("debugfs", ["-R", `rdump /usr/lib/modules ${scratch}`, root], { stdio: "ignore" });
    const modules = join(scratch, "modules", readdirSync(join(scratch, "modules"))[0] ?? "");
    execFileSync(join(REPOSITORY, "bin/tssandbox"), ["vm", "build", "--kernel", kernel, "--modules", modules, "--output", OUTPUT], { stdio: ["ignore", "ignore", "inherit"] });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

export function removeGuestImage(): void {
  rmSync(OUTPUT, { recursive: true, force: true });
}
