/** A Debian root file system as a directory, unpacked once from the image that the engines' tests use. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DEBIAN, ensureImages } from "../../engines/images.ts";
import { projectRoot } from "../../support/paths.ts";

const CACHE = join(projectRoot, ".cache", "gofer");

interface Manifest {
  readonly manifests?: readonly { readonly digest: string }[];
  readonly layers?: readonly { readonly digest: string }[];
}

export async function debianRoot(): Promise<string> {
  const root = join(CACHE, "debian");
  if (existsSync(root)) return root;
  await ensureImages(DEBIAN);
  mkdirSync(CACHE, { recursive: true });
  const scratch = mkdtempSync(join(CACHE, "unpack-"));
  try {
    execFileSync("tar", ["-xf", DEBIAN.archive, "-C", scratch]);
    const fresh = join(scratch, "root");
    mkdirSync(fresh);
    for (const { digest } of layers(scratch)) execFileSync("tar", ["-xf", blob(scratch, digest), "-C", fresh, "--numeric-owner"]);
    renameSync(fresh, root);
  } catch (error) {
    if (!existsSync(root)) throw error;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return root;
}

function layers(image: string): readonly { readonly digest: string }[] {
  const index = JSON.parse(readFileSync(join(image, "index.json"), "utf8")) as Manifest;
  const manifest = JSON.parse(readFileSync(blob(image, index.manifests?.[0]?.digest ?? ""), "utf8")) as Manifest;
  return manifest.layers ?? [];
}

function blob(image: string, digest: string): string {
  return join(image, "blobs", ...digest.split(":"));
}
