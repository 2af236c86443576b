// Lays a graph of decisions out as instructions. Classic BPF jumps only forward, conditional jumps at most 255 far, so
// the program is written from its end: what a node leads to is already placed, and too distant targets get a copy of
// their return, or an unconditional jump, right behind the instruction that needs it.
import { opcode } from "./bpf.ts";
import type { Instruction } from "./bpf.ts";
import type { Node, TestNode } from "./graph.ts";

const testCodes = { eq: opcode.jeqK, gt: opcode.jgtK, ge: opcode.jgeK, set: opcode.jsetK } as const;

const MAX_SKIP = 255;

class Assembler {
  /** The program backwards: index 0 is its last instruction. */
  readonly reversed: Instruction[] = [];
  /** Where in `reversed` a node, or a jump to it, was placed last. */
  readonly #placed = new Map<Node, number>();

  place(node: Node): void {
    if (this.#placed.has(node)) return;
    switch (node.kind) {
      case "return":
        break;
      case "load":
      case "and":
        this.#placeNext(node.next);
        break;
      case "test":
        // "yes" last, so that it comes next: callers put the likelier side there.
        this.place(node.no);
        this.place(node.yes);
        this.#reach(node);
        break;
      default:
        node satisfies never;
    }
    this.#emit(node);
  }

  // A load falls through to what uses it. If that is placed elsewhere already, a second copy costs no more instructions
  // than a jump to the first and saves executing the jump.
  #placeNext(next: Node): void {
    this.place(next);
    if (this.#placed.get(next) === this.reversed.length - 1) return;
    if (next.kind === "test") this.#reach(next);
    if (next.kind === "load" || next.kind === "and") this.#placeNext(next.next);
    this.#emit(next);
  }

  /** Makes both sides of a test reachable from the next instruction to be emitted. */
  #reach(node: TestNode): void {
    // Placing one side's stepping stone moves the other side one further away, hence the second round.
    for (let round = 0; round < 2; round++) {
      for (const target of [node.no, node.yes]) {
        if (this.#skip(target) > MAX_SKIP) this.#emitStone(target);
      }
    }
  }

  #emitStone(target: Node): void {
    const stone: Instruction =
      target.kind === "return" ? returnOf(target.value) : { code: opcode.ja, jt: 0, jf: 0, k: this.#skip(target) };
    this.#push(target, stone);
  }

  #emit(node: Node): void {
    switch (node.kind) {
      case "return":
        return this.#push(node, returnOf(node.value));
      case "load":
        return this.#push(node, { code: opcode.ldAbs, jt: 0, jf: 0, k: node.offset });
      case "and":
        return this.#push(node, { code: opcode.andK, jt: 0, jf: 0, k: node.mask });
      case "test": {
        const { op, k, yes, no } = node;
        return this.#push(node, { code: testCodes[op], jt: this.#skip(yes), jf: this.#skip(no), k });
      }
      default:
        return node satisfies never;
    }
  }

  #push(node: Node, instruction: Instruction): void {
    this.#placed.set(node, this.reversed.length);
    this.reversed.push(instruction);
  }

  /** Instructions between the next one to be emitted and a node's. */
  #skip(target: Node): number {
    const at = this.#placed.get(target);
    if (at === undefined) throw new RangeError("a node was reached before it was placed");
    return this.reversed.length - at - 1;
  }
}

const returnOf = (value: number): Instruction => ({ code: opcode.retK, jt: 0, jf: 0, k: value });

export function assemble(root: Node): Instruction[] {
  const assembler = new Assembler();
  assembler.place(root);
  return assembler.reversed.toReversed();
}
