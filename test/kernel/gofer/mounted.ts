/** Directories lent by a gofer, and programs that run on them; see scripts/on-mount.ts. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { CachePolicy } from "../../../gofer/export.ts";
import type { Limits } from "../../../gofer/hostfs/node-table.ts";
import type { Ownership } from "../../../gofer/hostfs/ownership.ts";
import { runScript, type Finished } from "../../support/forked.ts";
import { uniqueId, workDir } from "../../support/paths.ts";

export interface Lent {
  readonly from: string;
  /** Mount point, an existing directory or file. */
  readonly at: string;
  readonly readOnly?: boolean;
  readonly cache?: CachePolicy;
  readonly ownership?: Ownership;
}

export interface Setup {
  readonly lend: readonly Lent[];
  /** An overlay with a tmpfs for what is written. */
  readonly overlay?: { readonly lower: string; readonly at: string };
  /** From the host, as they are. */
  readonly bind?: readonly { readonly from: string; readonly at: string }[];
  readonly chroot?: string;
  readonly cwd: string;
  readonly user?: number;
  readonly command: readonly string[];
  readonly limits?: Limits;
  readonly counters?: boolean;
}

const SCRIPT = join(import.meta.dirname, "scripts", "on-mount.ts");

export function runOnMount(setup: Setup, timeoutMs = 30_000): Finished {
  return runScript(SCRIPT, [JSON.stringify(setup)], undefined, timeoutMs);
}

/** A new directory of this test file's. */
export function freshDirectory(): string {
  const path = join(workDir, uniqueId());
  mkdirSync(path);
  return path;
}

/** How a single directory is lent, for `shellOn`. */
export type Lending = Omit<Lent, "from" | "at">;

/** Runs a shell script with the lent directory as the current one. */
export function shellOn(from: string, script: string, lending: Lending = {}, more: Partial<Setup> = {}): Finished {
  const at = freshDirectory();
  return runOnMount({ lend: [{ from, at, ...lending }], cwd: at, command: ["/bin/sh", "-c", script], ...more });
}
