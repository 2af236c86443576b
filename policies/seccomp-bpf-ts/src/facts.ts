// What earlier tests on a path have established about one 32-bit word. A test that they decide need not be made.
import type { TestOp } from "./graph.ts";

/** A word after AND with `mask` (0xffffffff: as it is) compared with `k`. */
export interface WordTest {
  readonly op: TestOp;
  readonly mask: number;
  readonly k: number;
}

export interface Facts {
  readonly min: number;
  readonly max: number;
  /** Bits known to be 0, and known to be 1. */
  readonly zeros: number;
  readonly ones: number;
  readonly not: readonly number[];
}

export const ALL_ONES = 0xffff_ffff;

export const nothingKnown: Facts = { min: 0, max: ALL_ONES, zeros: 0, ones: 0, not: [] };

const and = (a: number, b: number): number => (a & b) >>> 0;
const without = (a: number, b: number): number => (a & ~b) >>> 0;
export const isSingleBit = (mask: number): boolean => mask !== 0 && and(mask, mask - 1) === 0;

function compare(op: TestOp, a: number, k: number): boolean {
  switch (op) {
    case "eq":
      return a === k;
    case "gt":
      return a > k;
    case "ge":
      return a >= k;
    case "set":
      return (a & k) !== 0;
    default:
      return op satisfies never;
  }
}

function impliedEqual({ min, max, zeros, ones, not }: Facts, mask: number, k: number): boolean | undefined {
  if (without(k, mask) !== 0 || and(k, zeros) !== 0 || without(and(mask, ones), k) !== 0) return false;
  if (without(mask, zeros | ones) === 0) return true;
  if (mask === ALL_ONES && (k < min || k > max || not.includes(k))) return false;
  return undefined;
}

/** True or false when the facts decide the test. */
export function implied(facts: Facts, { op, mask, k }: WordTest): boolean | undefined {
  if (facts.min === facts.max) return compare(op, and(facts.min, mask), k);
  switch (op) {
    case "eq":
      return impliedEqual(facts, mask, k);
    case "gt":
      return facts.min > k ? true : facts.max <= k ? false : undefined;
    case "ge":
      return facts.min >= k ? true : facts.max < k ? false : undefined;
    case "set":
      return and(facts.ones, k) !== 0 ? true : without(k, facts.zeros) === 0 ? false : undefined;
    default:
      return op satisfies never;
  }
}

function learnEqual(facts: Facts, mask: number, k: number, result: boolean): Facts {
  if (!result) return mask === ALL_ONES ? exclude(facts, k) : facts;
  if (mask === ALL_ONES) return { ...facts, min: k, max: k };
  return {
    ...facts,
    ones: (facts.ones | k) >>> 0,
    zeros: (facts.zeros | without(mask, k)) >>> 0,
  };
}

function exclude(facts: Facts, k: number): Facts {
  if (k === facts.min) return { ...facts, min: k + 1 };
  if (k === facts.max) return { ...facts, max: k - 1 };
  return { ...facts, not: [...facts.not, k] };
}

/** The facts after a test that they do not decide came out as `result`. */
export function learn(facts: Facts, { op, mask, k }: WordTest, result: boolean): Facts {
  switch (op) {
    case "eq":
      return learnEqual(facts, mask, k, result);
    case "gt":
      return result ? { ...facts, min: k + 1 } : { ...facts, max: k };
    case "ge":
      return result ? { ...facts, min: k } : { ...facts, max: k - 1 };
    case "set":
      if (!result) return { ...facts, zeros: (facts.zeros | k) >>> 0 };
      return isSingleBit(k) ? { ...facts, ones: (facts.ones | k) >>> 0 } : facts;
    default:
      return op satisfies never;
  }
}
