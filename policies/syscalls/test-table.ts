/** For tests: the table read a second time, without the compiler. All its conditions are masked comparisons. */
import type { ArgCheck } from "seccomp-bpf-ts";
import type { Outcome, SyscallRow } from "./row.ts";

export type Args = readonly bigint[];

export const zeros: Args = Array.from({ length: 6 }, () => 0n);
export const ones: Args = Array.from({ length: 6 }, () => 0xffff_ffff_ffff_ffffn);

function holds({ index, op, value, valueTwo = 0 }: ArgCheck, args: Args): boolean {
  if (op !== "masked-eq") throw new Error(op);
  return ((args[index] ?? 0n) & BigInt(value)) === BigInt(valueTwo);
}

export const tableSays = ({ cases, otherwise }: SyscallRow, args: Args): Outcome =>
  cases.find(({ anyOf }) => anyOf.some((checks) => checks.every((check) => holds(check, args))))?.outcome ?? otherwise;

/** Six arguments, of which those that `checks` look at satisfy them, and all other bits are those of `rest`. */
export function satisfying(checks: readonly ArgCheck[], rest: Args): bigint[] {
  const args = [...rest];
  for (const { index, value, valueTwo = 0 } of checks) args[index] = ((args[index] ?? 0n) & ~BigInt(value)) | BigInt(valueTwo);
  return args.map((arg) => BigInt.asUintN(64, arg));
}
