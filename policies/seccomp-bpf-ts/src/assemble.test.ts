import * as fc from "fast-check";
import { expect, test } from "vitest";
import { assemble } from "./assemble.ts";
import { encodeProgram } from "./bpf.ts";
import { Graph } from "./graph.ts";
import type { Node } from "./graph.ts";
import { simulator } from "./simulate.ts";

// A node that leads to two earlier ones, most often recent: graphs as deep as they are wide, with far references.
interface Pick {
  readonly k: number;
  readonly yes: number;
  readonly no: number;
  readonly reload: boolean;
}

const distance = fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 300 }));
const pick: fc.Arbitrary<Pick> = fc.record({ k: fc.nat({ max: 50 }), yes: distance, no: distance, reload: fc.boolean() });

function build(picks: readonly Pick[]): Node {
  const graph = new Graph();
  const nodes: Node[] = [graph.return(1), graph.return(2), graph.return(3)];
  for (const { k, yes, no, reload } of picks) {
    const at = (back: number): Node => nodes[Math.max(0, nodes.length - 1 - back)] ?? graph.return(0);
    const node = graph.test("ge", k, at(yes), at(no));
    nodes.push(reload ? graph.load(0, node) : node);
  }
  return graph.load(0, nodes.at(-1) ?? graph.return(0));
}

function walk(node: Node, nr: number): number {
  switch (node.kind) {
    case "return":
      return node.value;
    case "test":
      return walk((node.op === "eq" ? nr === node.k : nr >= node.k) ? node.yes : node.no, nr);
    case "load":
    case "and":
      return walk(node.next, nr);
    default:
      return node satisfies never;
  }
}

test("a program takes the graph's path, however far its targets lie", () => {
  let longest = 0;
  fc.assert(
    fc.property(fc.array(pick, { minLength: 1, maxLength: 900, size: "max" }), (picks) => {
      const root = build(picks);
      const instructions = assemble(root);
      longest = Math.max(longest, instructions.length);
      const run = simulator(encodeProgram(instructions));
      for (let nr = 0; nr <= 51; nr += 3) expect(run({ arch: "x86_64", nr }).value).toBe(walk(root, nr));
    }),
    { numRuns: 150 },
  );
  expect(longest).toBeGreaterThan(600);
});

// `near` lies `length` instructions behind the last test, `far` a few more: a stepping stone for one moves the other.
test.each([252, 253, 254, 255, 256])("both targets at the edge of a jump, %d instructions apart", (length) => {
  const graph = new Graph();
  const far = graph.test("eq", 500, graph.return(3), graph.return(1));
  const near = graph.test("eq", 600, graph.return(4), far);
  let between: Node = near;
  for (let k = 0; k < length; k++) between = graph.test("eq", 1000 + k, graph.return(2), between);
  for (const last of [graph.test("eq", 800, far, near), graph.test("eq", 800, near, far)]) {
    const root = graph.load(0, graph.test("ge", 300, last, between));
    const run = simulator(encodeProgram(assemble(root)));
    for (const nr of [0, 500, 600, 700, 800]) expect([nr, run({ arch: "x86_64", nr }).value]).toEqual([nr, walk(root, nr)]);
  }
});
