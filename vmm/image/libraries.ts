/** What a program needs in order to start: its loader, and the libraries that this finds. Source: ld.so(8). */
import { closeSync, openSync, readSync } from "node:fs";

const HEAD = 4096;

/** PT_INTERP of an ELF file. Source: elf(5). @throws Error where it has none */
export function interpreterOf(program: string): string {
  const head = Buffer.alloc(HEAD);
  const fd = openSync(program, "r");
  readSync(fd, head, 0, HEAD, 0);
  closeSync(fd);
  const path = /\/lib[\w/-]*\/ld-[\w.-]+\.so\.\d+/.exec(head.toString("latin1"))?.[0];
  if (path === undefined) throw new Error(`${program} names no loader`);
  return path;
}

/** @param listing of the loader's `--list`: "NAME => PATH (ADDRESS)", or "PATH (ADDRESS)" for the loader itself. @returns the paths */
export function listedLibraries(listing: string): string[] {
  return [...listing.matchAll(/^\s*(?:\S+ => )?(\/\S+) \(0x/gm)].map(([, path = ""]) => path);
}
