import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "./paths.ts";

const flags = ["-static", "-O1", "-Wall", "-Wextra", "-Werror"];
const cacheDir = join(projectRoot, ".cache", "guest");

/**
 * The path of a static executable built from `guest/NAME.c`. It is compiled once per version of its source and kept in
 * `.cache/guest`; processes that build it at the same time do no harm, because the result is renamed into place.
 */
export function guestProgram(name: string): string {
  const source = join(projectRoot, "test", "support", "guest", `${name}.c`);
  const hash = createHash("sha256").update(flags.join(" ")).update(readFileSync(source)).digest("hex").slice(0, 16);
  const target = join(cacheDir, `${name}-${hash}`);
  if (existsSync(target)) return target;
  mkdirSync(cacheDir, { recursive: true });
  const fresh = `${target}.${process.pid}`;
  execFileSync("gcc", [...flags, "-o", fresh, source], { stdio: ["ignore", "inherit", "inherit"] });
  renameSync(fresh, target);
  return target;
}
