import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/** @returns the program's path, if the PATH has it; a path stands for itself. */
export function installed(program: string): string | undefined {
  if (program.includes("/")) return existsSync(program) ? program : undefined;
  return (process.env["PATH"] ?? "").split(":").map((directory) => join(directory, program)).find(existsSync);
}
