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

interface Tree {
  readonly node: Node;
  readonly cost: number;
}

/** How far from the middle a better place for the split is looked for. */
const WINDOW = 3;

class Search {
  readonly #graph: Graph;
  readonly #spans: readonly Span[];
  readonly #weights: readonly number[];
  readonly #known = new Map<number, Tree>();

  constructor(graph: Graph, spans: readonly Span[]) {
    this.#graph = graph;
    this.#spans = spans;
    this.#weights = spans.map((_, index) => weigh(spans, index));
  }

  /** The cheapest tree found for the spans from `from` up to, not including, `to`. */
  tree(from: number, to: number): Tree {
    const key = from * (this.#spans.length + 1) + to;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const tree = to - from === 1 ? { node: this.#node(from), cost: 0 } : this.#split(from, to);
    this.#known.set(key, tree);
    return tree;
  }

  #split(from: number, to: number): Tree {
    const weight = this.#weights.slice(from, to).reduce((sum, each) => sum + each, 0);
    const exception = this.#exception(from, to);
    if (exception !== undefined) return { node: exception, cost: weight };
    const middle = (from + to) >> 1;
    let best: { at: number; cost: number } | undefined;
    for (let at = Math.max(from + 1, middle - WINDOW); at <= Math.min(to - 1, middle + WINDOW); at++) {
      const cost = weight + this.tree(from, at).cost + this.tree(at, to).cost;
      if (best === undefined || cost < best.cost) best = { at, cost };
    }
    if (best === undefined) throw new RangeError(`nothing to split in ${from}..${to}`);
    const { at, cost } = best;
    return { node: this.#graph.test("ge", this.#start(at), this.tree(at, to).node, this.tree(from, at).node), cost };
  }

  // One number that differs from both sides: a single comparison instead of two.
  #exception(from: number, to: number): Node | undefined {
    if (to - from !== 3 || this.#node(from) !== this.#node(from + 2)) return undefined;
    const number = this.#start(from + 1);
    if (this.#start(from + 2) !== number + 1) return undefined;
    return this.#graph.test("eq", number, this.#node(from + 1), this.#node(from));
  }

  #node(index: number): Node {
    const span = this.#spans[index];
    if (span === undefined) throw new RangeError(`span ${index}`);
    return span.node;
  }

  #start(index: number): number {
    return this.#spans[index]?.start ?? END;
  }
}

/** The decision for a number in the accumulator. */
export function searchTree(graph: Graph, map: NumberMap): Node {
  return new Search(graph, map.spans).tree(0, map.spans.length).node;
}
