import { expect, it } from "vitest";
import { familiesOf } from "./density.ts";

const named = (name: string, unit: "MiB" | "starts/s" = "MiB") => ({ suite: "density", name, unit, samples: {} });

it("takes names that differ in their first number for one line, by number", () => {
  const families = familiesOf([named("PSS of each of 10 idle"), named("PSS of each of 50 idle"), named("PSS of each of 1 idle"), named("starts, 10 running, 2 at a time", "starts/s")]);
  expect(families.map(({ name, members }) => [name, members.map(({ count }) => count)])).toEqual([["PSS of each of n idle", [1, 10, 50]]]);
});

it("keeps units apart", () => {
  expect(familiesOf([named("a 1"), named("a 2", "starts/s")])).toEqual([]);
});
