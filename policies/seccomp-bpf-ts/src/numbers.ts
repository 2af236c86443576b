// From "which decision for which number" to a binary search. Only loads of the number, comparisons with constants and
// returns are used on the way to a decision: with these the kernel can tell, when the filter is loaded, which numbers it
// always allows, and never runs it for them (kernel/seccomp.c seccomp_is_const_allow).
import type { Graph, Node } from "./graph.ts";

/** From `start` up to the next span's start, or 2^32. */
export interface Span {
  readonly start: number;
  readonly node: Node;
}

const END = 2 ** 32;

/** Spans in order, neighbours with the same decision made one. The first starts at 0. */
export class NumberMap {
  readonly #spans: Span[] = [];

  /** Appends; `start` is not below that of any span before. */
  add(start: number, node: Node): void {
    if (this.#spans.at(-1)?.start === start) this.#spans.pop();
    if (this.#spans.at(-1)?.node !== node) this.#spans.push({ start, node });
  }

  get spans(): readonly Span[] {
    return this.#spans;
  }
}

// How much a span's depth counts. A number whose arguments are looked at is never answered from the kernel's cache, so
// its path matters most; of the others, longer runs have more callers, up to a point.
function weigh(spans: readonly Span[], index: number): number {
  const span = spans[index];
  if (span === undefined) throw new RangeError(`span ${index}`);
  const length = (spans[index + 1]?.start ?? END) - span.start;
  return span.node.kind === "load" ? 16 : Math.min(length, 16);
}

/** How far from the middle a better place for the split is looked for. */
const WINDOW = 3;

interface Plan {
  readonly cost: number;
  /** Where the second half begins; undefined: no split, see #isException. */
  readonly at: number | undefined;
}

class Search {
  readonly #graph: Graph;
  readonly #spans: readonly Span[];
  /** Sum of the weights of the spans before each index. */
  readonly #weightBefore: readonly number[];
  readonly #plans = new Map<number, Plan>();

  constructor(graph: Graph, spans: readonly Span[]) {
    this.#graph = graph;
    this.#spans = spans;
    let sum = 0;
    this.#weightBefore = [0, ...spans.map((_, index) => (sum += weigh(spans, index)))];
  }

  /** The decision for the spans from `from` up to, not including, `to`. */
  build(from: number, to: number): Node {
    if (to - from === 1) return this.#span(from).node;
    const { at } = this.#plan(from, to);
    if (at === undefined) {
      const { start, node } = this.#span(from + 1);
      return this.#graph.test("eq", start, node, this.#span(from).node);
    }
    return this.#graph.test("ge", this.#span(at).start, this.build(at, to), this.build(from, at));
  }

  #plan(from: number, to: number): Plan {
    const key = from * (this.#spans.length + 1) + to;
    const known = this.#plans.get(key);
    if (known !== undefined) return known;
    const plan = this.#isException(from, to) ? { cost: this.#weight(from, to), at: undefined } : this.#split(from, to);
    this.#plans.set(key, plan);
    return plan;
  }

  #split(from: number, to: number): Plan {
    const middle = (from + to) >> 1;
    let best: Plan = { cost: Infinity, at: middle };
    for (let at = Math.max(from + 1, middle - WINDOW); at <= Math.min(to - 1, middle + WINDOW); at++) {
      const cost = this.#weight(from, to) + this.#cost(from, at) + this.#cost(at, to);
      if (cost < best.cost) best = { cost, at };
    }
    return best;
  }

  #cost(from: number, to: number): number {
    return to - from === 1 ? 0 : this.#plan(from, to).cost;
  }

  #weight(from: number, to: number): number {
    return (this.#weightBefore[to] ?? 0) - (this.#weightBefore[from] ?? 0);
  }

  // One number that differs from both sides, which are alike: a single comparison instead of two.
  #isException(from: number, to: number): boolean {
    return (
      to - from === 3 &&
      this.#span(from).node === this.#span(from + 2).node &&
      this.#span(from + 1).start + 1 === this.#span(from + 2).start
    );
  }

  #span(index: number): Span {
    const span = this.#spans[index];
    if (span === undefined) throw new RangeError(`no span ${index}`);
    return span;
  }
}

/** The decision for a number in the accumulator. */
export function searchTree(graph: Graph, map: NumberMap): Node {
  return new Search(graph, map.spans).build(0, map.spans.length);
}
