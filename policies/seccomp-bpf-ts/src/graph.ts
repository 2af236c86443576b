// A filter as a graph of decisions. Equal nodes are one object, so tails are shared, and two syscalls are treated alike
// exactly when their nodes are identical.

export type TestOp = "eq" | "gt" | "ge" | "set";

export type Node =
  | { readonly kind: "return"; readonly id: number; readonly value: number }
  | { readonly kind: "load"; readonly id: number; readonly offset: number; readonly next: Node }
  | { readonly kind: "and"; readonly id: number; readonly mask: number; readonly next: Node }
  | TestNode;

/** Compares the accumulator with `k`; which word that is, is for the loads before it to ensure. */
export interface TestNode {
  readonly kind: "test";
  readonly id: number;
  readonly op: TestOp;
  readonly k: number;
  readonly yes: Node;
  readonly no: Node;
}

export class Graph {
  #nodes = new Map<string, Node>();

  #intern(key: string, make: (id: number) => Node): Node {
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const node = make(this.#nodes.size);
    this.#nodes.set(key, node);
    return node;
  }

  return(value: number): Node {
    return this.#intern(`r${value}`, (id) => ({ kind: "return", id, value }));
  }

  load(offset: number, next: Node): Node {
    if (next.kind === "return" || next.kind === "load") return next;
    return this.#intern(`l${offset},${next.id}`, (id) => ({ kind: "load", id, offset, next }));
  }

  and(mask: number, next: Node): Node {
    if (next.kind === "return" || next.kind === "load") return next;
    return this.#intern(`a${mask},${next.id}`, (id) => ({ kind: "and", id, mask, next }));
  }

  test(op: TestOp, k: number, yes: Node, no: Node): Node {
    if (yes === no) return yes;
    return this.#intern(`${op}${k},${yes.id},${no.id}`, (id) => ({ kind: "test", id, op, k, yes, no }));
  }
}
