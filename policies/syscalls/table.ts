/** Every x86-64 system call that has a name, as the `balanced` policy treats it. Numbers without a name are denied with ENOSYS, as are later ones. */
import { syscallNumber, syscallTable } from "seccomp-bpf-ts";
import { descriptors, names } from "./areas/files.ts";
import { ipc, kernel } from "./areas/ipc.ts";
import { memory } from "./areas/memory.ts";
import { prctl } from "./areas/prctl.ts";
import { processes } from "./areas/processes.ts";
import { sockets } from "./areas/sockets.ts";
import { identity, machine, scheduling, signals, time } from "./areas/tasks.ts";
import { terminals } from "./areas/terminals.ts";
import { native, outcomesOf, syscallClasses } from "./row.ts";
import type { Area, Case, Group, Outcome, SyscallClass, SyscallRow } from "./row.ts";

export const areas: readonly Area[] = [memory, processes, prctl, identity, signals, time, scheduling, machine, names, descriptors, terminals, sockets, ipc, kernel];

function numberOf(name: string): number {
  const nr = syscallNumber("x86_64", name);
  if (nr === undefined) throw new Error(`x86-64 has no system call ${name}`);
  return nr;
}

function classOf(cases: readonly Case[], otherwise: Outcome): SyscallClass {
  const kinds = new Set(outcomesOf({ cases, otherwise }).map(({ kind }) => kind));
  return syscallClasses.find((kind) => kinds.has(kind)) ?? otherwise.kind;
}

function groupRows(area: string, { names, cases = [], outcome, reason }: Group): SyscallRow[] {
  const row = { area, class: classOf(cases, outcome), cases, otherwise: outcome, reason };
  return names.split(" ").map((name) => ({ nr: numberOf(name), name, ...row }));
}

function formRows({ title, forms = {} }: Area): SyscallRow[] {
  return Object.entries(forms).map(([name, formOf]) => ({
    nr: numberOf(name),
    name,
    area: title,
    class: "native",
    cases: [],
    otherwise: native,
    reason: `Another form of ${formOf}, with nothing that ${formOf} has not`,
    formOf,
  }));
}

/** In the order of the numbers, each name that has one exactly once. */
export const rows: readonly SyscallRow[] = areas
  .flatMap((area) => [...area.groups.flatMap((group) => groupRows(area.title, group)), ...formRows(area)])
  .sort((a, b) => a.nr - b.nr);

/** Names that have no row: none, or the table is behind the list of numbers. */
export function missingNames(): string[] {
  const known = new Set(rows.map(({ name }) => name));
  return [...syscallTable("x86_64").keys()].filter((name) => !known.has(name));
}
