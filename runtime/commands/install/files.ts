/** Reads and changes configuration files: each in one step, and none without a copy of what its owner had written. */
import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { ENOENT } from "../../../linux/abi/errno.ts";
import { isErrno } from "../../../linux/errors.ts";
import type { Change } from "./engine.ts";

export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isErrno(error, ENOENT)) return undefined;
    throw error;
  }
}

/** A file that is ours alone. */
export const ownFile = (path: string, after: string | undefined): Change => ({ path, before: textOf(path), after });

export const backupOf = (path: string): string => `${path}.before-tssandbox`;

export const changes = ({ before, after }: Change): boolean => before !== after;

export function apply({ path, before, after, backup }: Change): void {
  if (backup === "make" && before !== undefined) replace(backupOf(path), before, modeOf(path));
  if (after === undefined) rmSync(path, { force: true });
  else replace(path, after, modeOf(path));
  if (backup === "drop" && textOf(backupOf(path)) === after) rmSync(backupOf(path), { force: true });
}

const modeOf = (path: string): number => (existsSync(path) ? statSync(path).mode & 0o777 : 0o644);

function replace(path: string, text: string, mode: number): void {
  // A link stays one: what it leads to is replaced.
  const target = existsSync(path) ? realpathSync(path) : path;
  mkdirSync(dirname(target), { recursive: true });
  const temporary = `${target}.tssandbox-new`;
  writeFileSync(temporary, text, { mode });
  chmodSync(temporary, mode);
  renameSync(temporary, target);
}
