import { archNames, archs } from "./arch.ts";
import type { ArchName } from "./arch.ts";

interface Table {
  readonly numbers: ReadonlyMap<string, number>;
  readonly names: ReadonlyMap<number, string>;
}

const parsed = new Map<string, Table>();

// The format is explained in scripts/syscall-tables.ts. Tables are parsed when first asked for.
function parse(text: string): Table {
  const numbers = new Map<string, number>();
  const names = new Map<number, string>();
  let next = 0;
  for (const token of text.trim().split(/\s+/)) {
    if (token.startsWith("@")) {
      next = Number(token.slice(1));
      continue;
    }
    const aliases = token.split("|");
    names.set(next, aliases[0] ?? token);
    for (const alias of aliases) numbers.set(alias, next);
    next++;
  }
  return { numbers, names };
}

function tableOf(arch: ArchName): Table {
  const text = archs[arch].table;
  const known = parsed.get(text);
  if (known !== undefined) return known;
  const table = parse(text);
  parsed.set(text, table);
  return table;
}

/** Number of a syscall on `arch` (x32 numbers have bit 30 set), undefined when the architecture has no such call. */
export function syscallNumber(arch: ArchName, name: string): number | undefined {
  return tableOf(arch).numbers.get(name);
}

export function syscallName(arch: ArchName, number: number): string | undefined {
  return tableOf(arch).names.get(number);
}

/** Name to number, in the order of the numbers. A call with two names is there twice. */
export function syscallTable(arch: ArchName): ReadonlyMap<string, number> {
  return tableOf(arch).numbers;
}

/** True when any architecture has a syscall of this name. */
export function isSyscallName(name: string): boolean {
  return archNames.some((arch) => tableOf(arch).numbers.has(name));
}
