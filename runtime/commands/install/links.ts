/** Links to this package's programs. They lead into the package's own directory, not through a link to it: what runs keeps its version. */
import { lstatSync, mkdirSync, readlinkSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { HANDLERS, LINKS } from "./engine.ts";

export interface Link {
  readonly path: string;
  readonly target: string;
}

const bin = (): string => join(dirname(dirname(realpathSync(process.argv[1] ?? ""))), "bin");

const link = (name: string, program: string): Link => ({ path: join(LINKS, name), target: join(bin(), program) });

export function wantedLinks(): Link[] {
  return [...Object.keys(HANDLERS).map((name) => link(name, "tssandbox")), link("containerd-shim-tssandbox-v1", "containerd-shim-tssandbox-v1")];
}

/** @returns where it leads; undefined where there is nothing. @throws Error where something else is in its place. */
export function leadsTo({ path, target }: Link): string | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  // Of another version of ours, perhaps: then it ends in the same name.
  if (found.isSymbolicLink() && readlinkSync(path).endsWith(target.slice(target.lastIndexOf("/bin/")))) return readlinkSync(path);
  throw new Error(`${path} is not of our making: remove it first`);
}

export function makeLink({ path, target }: Link): void {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(target, path);
}

export const removeLink = ({ path }: Link): void => rmSync(path, { force: true });
