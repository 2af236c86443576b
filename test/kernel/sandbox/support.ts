import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { SandboxReport } from "../../../runtime/sandbox/inspect.ts";
import type { CommandOptions, Container } from "../../support/container.ts";
import { FORK_FLAGS, nodePath } from "../../support/forked.ts";

/** Options before the command. */
export const SENTRY: CommandOptions = { global: ["--mode", "sentry"] };

export async function inspect(container: Container): Promise<SandboxReport> {
  return JSON.parse(await container.mustCommand("debug", [], { flags: ["--format", "json"] })) as SandboxReport;
}

/** A file of the container's state directory. */
export function stateFile({ stateRoot, id }: Container, name: string): string {
  return readFileSync(join(stateRoot, id, name), "utf8");
}

/** Has a directory of the bundle be one whose file `late` takes so long to be read. @returns its path. */
export async function slowDirectory(container: Container, milliseconds: number): Promise<string> {
  const at = container.bundle.path("slow");
  mkdirSync(at);
  const server = spawn(nodePath, [...FORK_FLAGS, join(import.meta.dirname, "scripts/slow-mount.ts"), at, String(milliseconds)], { stdio: ["ignore", "pipe", "inherit"] });
  await once(server.stdout, "data");
  return at;
}

/** Puts a program of guest/ into the container's root, under its name. */
export function installGuest({ rootfs }: Container, name: string, flags: readonly string[] = []): void {
  const target = join(rootfs, name);
  if (!existsSync(target)) buildGuest(target, join(import.meta.dirname, "guest", `${name}.c`), flags);
}

export function buildGuest(target: string, source: string, flags: readonly string[] = []): void {
  execFileSync("gcc", ["-static", "-O1", "-Wall", "-Wextra", "-Werror", ...flags, "-o", target, source]);
}

