import { expect, test } from "vitest";
import { Collection, readings } from "./collection.ts";

test("readings are lines of four fields with a known unit and a number", () => {
  const output = "noise\nroot\tstat\tns\t12.5\n\tTCP\tMiB/s\t3\nroot\tx\tparsec\t1\nroot\ty\tms\tnone\nroot\tz\tms\n";
  expect(readings(output)).toEqual([{ name: "root: stat", unit: "ns", value: 12.5 }, { name: "TCP", unit: "MiB/s", value: 3 }]);
});

const origin = (runtime: string, round = 0) => ({ suite: "s", task: "t", runtime, round });

test("a failure is one of each measurement of its task that lacks the round's value, and of no other", () => {
  const collection = new Collection();
  for (const name of ["one", "two"]) collection.add(origin("good"), { name, unit: "ms", value: 1 });
  collection.add({ ...origin("good"), task: "other" }, { name: "three", unit: "ms", value: 1 });
  collection.add(origin("bad"), { name: "one", unit: "ms", value: 2 });
  collection.fail(origin("bad"), "broke off");
  const samples = Object.fromEntries(collection.measurements().map((measurement) => [measurement.name, measurement.samples["bad"]]));
  expect(samples).toEqual({ one: { rounds: [{ round: 0, value: 2 }], failures: [] }, two: { rounds: [], failures: [{ round: 0, why: "broke off" }] }, three: undefined });
});

test("a task of which nobody has a value is a row by its own name", () => {
  const collection = new Collection();
  collection.fail(origin("bad", 0), "no");
  collection.fail(origin("bad", 1), "no again");
  expect(collection.measurements()).toEqual([{ suite: "s", name: "t", unit: "ms", samples: { bad: { rounds: [], failures: [{ round: 0, why: "no" }, { round: 1, why: "no again" }] } } }]);
});
