import { describe, expect, it } from "vitest";
import { linearScale, logScale } from "./scale.ts";

describe("logScale", () => {
  it.each([[[0.9, 1.1]], [[0.01, 3]], [[20_000, 3]], [[1]], [[]]])("has 1, all of %j and a few ticks on it", (values) => {
    const { at, ticks } = logScale(values);
    for (const value of [1, ...values, ...ticks]) expect(at(value)).toBeGreaterThanOrEqual(0);
    for (const value of [1, ...values, ...ticks]) expect(at(value)).toBeLessThanOrEqual(1);
    expect(ticks).toContain(1);
    expect(ticks.length).toBeGreaterThan(1);
    expect(ticks.length).toBeLessThan(9);
  });

  it("has equal ratios at equal distances", () => {
    const { at } = logScale([0.1, 10]);
    expect(at(10) - at(1)).toBeCloseTo(at(1) - at(0.1));
  });
});

describe("linearScale", () => {
  it.each([[362, 400], [655, 800], [1, 1], [0.4, 0.4], [41_000, 60_000]])("ends for %d at %d", (largest, end) => {
    const { at, ticks } = linearScale([largest, 0]);
    expect(ticks.at(-1)).toBeCloseTo(end);
    expect(at(end)).toBeCloseTo(1);
    expect(at(0)).toBe(0);
  });
});
