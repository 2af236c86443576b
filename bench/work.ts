/** Where a run of the bench has its programs and bundles: one directory, on tmpfs, since disks differ and some are slow after deletions. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { installed } from "./installed.ts";

/** The package: bench/ and dist/ are below it. */
export const home = join(import.meta.dirname, "..");

const parent = "/dev/shm";
const prefix = "tssandbox-bench-";
let directory: string | undefined;

export function workDirectory(): string {
  if (directory === undefined) removeAbandoned();
  return (directory ??= mkdtempSync(join(parent, `${prefix}${process.pid}-`)));
}

/** What a bench that was killed has left: they have nothing mounted, since mounts are in namespaces that have ended with it. */
function removeAbandoned(): void {
  for (const name of readdirSync(parent)) {
    const pid = /^tssandbox-bench-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(parent, name), { recursive: true, force: true });
  }
}

export function removeWorkDirectory(): void {
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  directory = undefined;
  compiled.clear();
}

const compiled = new Map<string, string>();

/**
 * Builds a C file, and others that belong to it, into a static program, once in each run. The sources are in the package, and the compiler is the
 * machine's: the same program then runs in every root file system.
 * @param source below the package: `bench/guest/calls.c`. @throws where there is no gcc, or no static C library.
 */
export function compile(source: string, others: readonly string[] = []): string {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  if (installed("gcc") === undefined) throw new Error("the bench builds its guest programs from source: it needs gcc and the C library's headers (Debian: apt-get install gcc libc6-dev)");
  const program = join(workDirectory(), basename(source, ".c"));
  execFileSync("gcc", ["-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Werror", "-o", program, ...[source, ...others].map((file) => join(home, file))], { stdio: ["ignore", "inherit", "inherit"] });
  compiled.set(source, program);
  return program;
}
