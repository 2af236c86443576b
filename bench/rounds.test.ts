import { expect, test } from "vitest";
import { Collection } from "./collection.ts";
import { rotated, runRounds, type Found, type Task } from "./rounds.ts";

interface Fake {
  readonly name: string;
  readonly find: (call: number) => Found;
}

const value = (value: number): Found => ({ readings: [{ name: "m", unit: "ms", value }] });

async function run(fakes: readonly Fake[], count: number, warmUp = false, isFor?: (fake: Fake) => boolean) {
  const order: string[] = [];
  const calls = new Map<string, number>();
  const task: Task<Fake> = {
    name: "t",
    ...(isFor !== undefined && { isFor }),
    measure: async ({ name, find }) => {
      order.push(name);
      const call = calls.get(name) ?? 0;
      calls.set(name, call + 1);
      return find(call);
    },
  };
  const collection = new Collection();
  await runRounds([task], fakes, collection, { suite: "s", count, warmUp });
  return { order: order.join(""), measurements: collection.measurements() };
}

const fine = (name: string): Fake => ({ name, find: value });

test("each runtime is first in turn, and each once in a round", async () => {
  expect(rotated(["a", "b", "c"], 4)).toEqual(["b", "c", "a"]);
  const { order } = await run(["a", "b", "c"].map(fine), 4);
  expect(order).toBe("abcbcacababc");
});

test("what the warm-up finds is not kept", async () => {
  const { order, measurements } = await run([fine("a")], 2, true);
  expect(order).toBe("aaa");
  expect(measurements).toEqual([{ suite: "s", name: "m", unit: "ms", samples: { a: { rounds: [{ round: 0, value: 1 }, { round: 1, value: 2 }], failures: [] } } }]);
});

test("one that fails once is tried again, and has a value and a reason", async () => {
  const { measurements } = await run([{ name: "a", find: (call) => (call === 1 ? { readings: [], failure: "broken" } : value(call)) }], 3);
  expect(measurements[0]?.samples["a"]).toEqual({ rounds: [{ round: 0, value: 0 }, { round: 2, value: 2 }], failures: [{ round: 1, why: "broken" }] });
});

test("one that throws is a reason of its own; after two of them, and after a hopeless one at once, it is not tried again", async () => {
  const thrower: Fake = { name: "t", find: () => { throw new Error("oh"); } };
  const hangs: Fake = { name: "h", find: () => ({ readings: [], failure: "timed out", hopeless: true }) };
  const { order, measurements } = await run([thrower, hangs, fine("a")], 4);
  expect([...order].filter((name) => name === "t")).toHaveLength(2);
  expect([...order].filter((name) => name === "h")).toHaveLength(1);
  expect([...order].filter((name) => name === "a")).toHaveLength(4);
  const why = (name: string) => measurements[0]?.samples[name]?.failures.map((failure) => failure.why);
  expect(why("t")).toEqual(["oh", "oh", "not tried again: oh", "not tried again: oh"]);
  expect(why("h")?.[1]).toBe("not tried again: timed out");
});

test("no round begins when the time is over, but the first", async () => {
  const collection = new Collection();
  const task: Task<Fake> = { name: "t", measure: async () => value(1) };
  expect(await runRounds([task], [fine("a")], collection, { suite: "s", count: 5, warmUp: true, until: performance.now() - 1 })).toBe(1);
  expect(collection.measurements()[0]?.samples["a"]?.rounds).toHaveLength(1);
});

test("after the deadline nothing begins, and what was found counts", async () => {
  const collection = new Collection();
  const deadline = performance.now() + 20;
  const slow: Task<Fake> = { name: "slow", measure: () => new Promise((resolve) => setTimeout(() => resolve(value(1)), 50)) };
  const late: Task<Fake> = { name: "late", measure: async () => value(2) };
  expect(await runRounds([slow, late], [fine("a")], collection, { suite: "s", count: 5, warmUp: false, deadline })).toBe(0);
  expect(collection.measurements().map(({ samples }) => samples["a"]?.rounds)).toEqual([[{ round: 0, value: 1 }]]);
});

test("a runtime that a task is not for has no row", async () => {
  const { measurements } = await run([fine("a"), fine("b")], 1, false, ({ name }) => name === "b");
  expect(Object.keys(measurements[0]?.samples ?? {})).toEqual(["b"]);
});
