/** System calls that somebody else may make in our place: those of on-behalf.ts. */
import { syscall as makeHere } from "./syscall.unsafe.ts";

/** @returns the result, or the negative errno. */
export type Maker = (nr: number, args: readonly number[]) => number;
type Arg = number | bigint;

let maker: Maker | undefined;

/** @param next who makes them from here on; undefined for ourselves. @returns who has until here. */
export function madeBy(next: Maker | undefined): Maker | undefined {
  const before = maker;
  maker = next;
  return before;
}

/** Whether that is ourselves: then what a call names need not outlast it. */
export const isMadeHere = (): boolean => maker === undefined;

/** As in syscall.unsafe.ts. */
export function syscall(nr: number, a: Arg = 0, b: Arg = 0, c: Arg = 0, d: Arg = 0, e: Arg = 0, f: Arg = 0): number {
  return maker === undefined ? makeHere(nr, a, b, c, d, e, f) : maker(nr, [a, b, c, d, e, f] as number[]);
}
