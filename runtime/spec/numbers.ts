import type { Report } from "./report.ts";

/**
 * A list of CPUs or memory nodes, "0-3,7", as cpuset(7) describes it ("comma-separated list, with dashes to represent ranges").
 * Spaces and empty members are allowed, as in runc and crun; numbers stay below 65536, so that a mask of them stays small.
 */
export function checkList(list: string | undefined, field: string, report: Report): void {
  if (list === undefined) return;
  for (const part of list.split(",")) {
    const member = part.trim();
    if (member === "") continue;
    const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(member);
    if (range === null) report.refuse(field, `must be a list like 0-3,7, is ${JSON.stringify(list)}`);
    const first = Number(range[1]);
    const last = Number(range[2] ?? first);
    if (last < first || last > 0xffff) report.refuse(field, `has the range ${member}, which is ${last < first ? "backwards" : "above 65535"}`);
  }
}

/** The numbers of a checked list, ascending and without repetition. */
export function parseList(list: string): number[] {
  const numbers = new Set<number>();
  for (const part of list.split(",")) {
    if (part.trim() === "") continue;
    const [first = 0, last = first] = part.split("-").map(Number);
    for (let number = first; number <= last; number++) numbers.add(number);
  }
  return [...numbers].sort((a, b) => a - b);
}

/** Refuses a present value outside [min, max]. */
export function checkRange(value: number | undefined, min: number, max: number, field: string, report: Report): void {
  if (value !== undefined && (value < min || value > max)) report.refuse(field, `must be from ${min} to ${max}, is ${value}`);
}
