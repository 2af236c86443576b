/**
 * Comparisons of arguments. The kernel takes most flags and commands as `int` and ignores the upper half of the register, so a comparison of
 * all 64 bits could be passed by with a bit that nobody looks at: socket(0x100000028) makes an AF_VSOCK socket.
 */
import type { ArgCheck } from "seccomp-bpf-ts";
import type { Case, Outcome } from "./row.ts";

const LOW = 0xffff_ffffn;
const ALL = 0xffff_ffff_ffff_ffffn;

/** How many bits of the argument the kernel looks at. */
export type Width = 32 | 64;

/** The argument's bits under `mask` equal `value`. */
export const bits = (index: number, mask: number, value: number): ArgCheck => ({
  index,
  op: "masked-eq",
  value: BigInt(mask >>> 0),
  valueTwo: BigInt(value >>> 0),
});

/** The argument, as an int, is `value`. */
export const int = (index: number, value: number): ArgCheck => bits(index, 0xffff_ffff, value);

interface Block {
  readonly start: number;
  readonly size: number;
}

/** Numbers as aligned runs whose lengths are powers of two: as few as possible, each of which one masked comparison finds. */
export function blocks(values: Iterable<number>): Block[] {
  const found: Block[] = [];
  for (const start of [...new Set(values)].sort((a, b) => a - b)) {
    let block: Block = { start, size: 1 };
    for (let last = found.at(-1); last !== undefined && isLowerHalf(last, block); last = found.at(-1)) {
      found.pop();
      block = { start: last.start, size: 2 * last.size };
    }
    found.push(block);
  }
  return found;
}

function isLowerHalf(lower: Block, upper: Block): boolean {
  return lower.size === upper.size && lower.start + lower.size === upper.start && lower.start % (2 * lower.size) === 0;
}

/** Alternatives: the argument is one of `values`. */
export function oneOf(index: number, values: Iterable<number>, width: Width = 32): ArgCheck[] {
  const all = width === 32 ? LOW : ALL;
  return blocks(values).map(({ start, size }) => ({ index, op: "masked-eq", value: all & ~BigInt(size - 1), valueTwo: BigInt(start) }));
}

/** A case for an argument that is one of these constants, by which it is also described. `also` must hold besides. */
export function named(index: number, constants: Readonly<Record<string, number>>, outcome: Outcome, also: readonly ArgCheck[] = [], width: Width = 32): Case {
  return {
    what: Object.keys(constants).join(", "),
    anyOf: oneOf(index, Object.values(constants), width).map((check) => [check, ...also]),
    outcome,
  };
}

/** A case for arguments that pass all checks. */
export const when = (what: string, checks: readonly ArgCheck[], outcome: Outcome): Case => ({ what, anyOf: [checks], outcome });
