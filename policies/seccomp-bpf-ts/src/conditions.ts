// The rules of one syscall as decisions on 32-bit words: classic BPF knows no wider ones.
import { encodeVerdict } from "./action.ts";
import type { Arch } from "./arch.ts";
import { argOffset } from "./bpf.ts";
import { ALL_ONES, implied, isSingleBit, learn, nothingKnown } from "./facts.ts";
import type { Facts, WordTest } from "./facts.ts";
import type { Graph, Node } from "./graph.ts";
import type { Condition, PlannedRule } from "./policy.ts";

/** What is known on the path to here. `loaded`: the offset of the word in the accumulator, -1 when it is of no use. */
interface State {
  readonly facts: ReadonlyMap<number, Facts>;
  readonly loaded: number;
}

type Continue = (state: State) => Node;

const start: State = { facts: new Map(), loaded: -1 };

/** Knowledge across rules may multiply paths; past this many tests a syscall's rules are compiled one by one. */
const TEST_BUDGET = 2000;

class BudgetExceeded extends Error {}

export class RuleCompiler {
  readonly #graph: Graph;
  readonly #arch: Arch;
  #budget = 0;

  constructor(graph: Graph, arch: Arch) {
    this.#graph = graph;
    this.#arch = arch;
  }

  /** The decision for a syscall that `rules` name, in order, and for which `fallback` is decided when none matches. */
  compile(rules: readonly PlannedRule[], fallback: Node): Node {
    this.#budget = TEST_BUDGET;
    try {
      return this.#allRules(rules, 0, fallback, start);
    } catch (error) {
      if (!(error instanceof BudgetExceeded)) throw error;
      this.#budget = Infinity;
      return rules.reduceRight((otherwise, rule) => this.#oneRule(rule, start, () => otherwise), fallback);
    }
  }

  #allRules(rules: readonly PlannedRule[], index: number, fallback: Node, state: State): Node {
    const rule = rules[index];
    if (rule === undefined) return fallback;
    return this.#oneRule(rule, state, (after) => this.#allRules(rules, index + 1, fallback, after));
  }

  #oneRule(rule: PlannedRule, state: State, otherwise: Continue): Node {
    const from = (index: number, here: State): Node => {
      const condition = rule.conditions[index];
      if (condition === undefined) return this.#graph.return(encodeVerdict(rule.verdict));
      return this.#condition(condition, here, (after) => from(index + 1, after), otherwise);
    };
    return from(0, state);
  }

  #condition(condition: Condition, state: State, yes: Continue, no: Continue): Node {
    switch (condition.op) {
      case "eq":
      case "masked-eq":
        return this.#equal(condition, state, yes, no);
      case "ne":
        return this.#equal(condition, state, no, yes);
      case "gt":
      case "ge":
        return this.#greater(condition, condition.op, state, yes, no);
      case "le":
        return this.#greater(condition, "gt", state, no, yes);
      case "lt":
        return this.#greater(condition, "ge", state, no, yes);
      default:
        return condition.op satisfies never;
    }
  }

  // The low word first: in real calls the high one is nearly always 0 and tells nothing apart.
  #equal({ index, value, mask }: Condition, state: State, yes: Continue, no: Continue): Node {
    const low = equalTest(lowWord(value), lowWord(mask));
    return this.#word(this.#low(index), low, state, (after) => this.#highEqual(index, value, mask, after, yes, no), no);
  }

  #highEqual(index: number, value: bigint, mask: bigint, state: State, yes: Continue, no: Continue): Node {
    if (this.#arch.bits === 32) return yes(state);
    return this.#word(this.#high(index), equalTest(highWord(value), highWord(mask)), state, yes, no);
  }

  #greater({ index, value }: Condition, op: "gt" | "ge", state: State, yes: Continue, no: Continue): Node {
    const low = (after: State): Node =>
      this.#word(this.#low(index), { op, mask: ALL_ONES, k: lowWord(value) }, after, yes, no);
    if (this.#arch.bits === 32) return low(state);
    const k = highWord(value);
    const above: WordTest = { op: "gt", mask: ALL_ONES, k };
    const same: WordTest = { op: "eq", mask: ALL_ONES, k };
    const notAbove = (after: State): Node => this.#word(this.#high(index), same, after, low, no);
    return this.#word(this.#high(index), above, state, yes, notAbove);
  }

  #low(index: number): number {
    return argOffset(index, "low", this.#arch.endian);
  }

  #high(index: number): number {
    return argOffset(index, "high", this.#arch.endian);
  }

  // A masked comparison with 0, or of a single bit, is one test without the AND before it.
  #word(offset: number, wanted: WordTest, state: State, yes: Continue, no: Continue): Node {
    if (wanted.op === "eq" && wanted.mask !== ALL_ONES) {
      const anyBit: WordTest = { op: "set", mask: ALL_ONES, k: wanted.mask };
      if (wanted.k === 0) return this.#test(offset, anyBit, state, no, yes);
      if (wanted.k === wanted.mask && isSingleBit(wanted.mask)) return this.#test(offset, anyBit, state, yes, no);
    }
    return this.#test(offset, wanted, state, yes, no);
  }

  #test(offset: number, test: WordTest, state: State, yes: Continue, no: Continue): Node {
    const facts = state.facts.get(offset) ?? nothingKnown;
    const known = implied(facts, test);
    if (known !== undefined) return known ? yes(state) : no(state);
    if (--this.#budget < 0) throw new BudgetExceeded();
    const masked = test.mask !== ALL_ONES;
    const branch = (result: boolean): State => ({
      facts: new Map(state.facts).set(offset, learn(facts, test, result)),
      loaded: masked ? -1 : offset,
    });
    const node = this.#graph.test(test.op, test.k, yes(branch(true)), no(branch(false)));
    if (masked) return this.#graph.load(offset, this.#graph.and(test.mask, node));
    return state.loaded === offset ? node : this.#graph.load(offset, node);
  }
}

const equalTest = (k: number, mask: number): WordTest => ({ op: "eq", mask, k });
const lowWord = (value: bigint): number => Number(value & 0xffff_ffffn);
const highWord = (value: bigint): number => Number(value >> 32n);
