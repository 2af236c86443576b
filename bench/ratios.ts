/** What a measurement costs under one runtime as a multiple of what it costs under another: absolute times drift between machines, ratios do not. */
import { type Measurement, UNITS } from "./result.ts";

/** The middle of several values, and the middle half of them. */
export interface Spread {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

/** @param values at least one. @param p 0 to 1; between two values it is interpolated. */
export function quantile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * p;
  const [below = NaN, above = NaN] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return below + (above - below) * (at - Math.floor(at));
}

/** @returns undefined where there is no value. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  return { low: quantile(values, 0.25), median: quantile(values, 0.5), high: quantile(values, 0.75) };
}

/** Of the rounds that came to an end, in the measurement's unit. */
export const spreadFor = (measurement: Measurement, runtime: string): Spread | undefined => spreadOf(valuesOf(measurement, runtime));

const valuesOf = (measurement: Measurement, runtime: string): number[] => (measurement.samples[runtime]?.rounds ?? []).map(({ value }) => value);

/**
 * One ratio for each round that came to an end under both: above 1 is dearer, whatever the unit. Empty where there is no such round.
 * Runtimes of one round ran side by side, so that what disturbs the machine for a while disturbs both.
 */
export function ratiosTo(base: string, measurement: Measurement, runtime: string): number[] {
  const theirs = new Map(measurement.samples[base]?.rounds.map(({ round, value }) => [round, value]));
  return (measurement.samples[runtime]?.rounds ?? []).flatMap(({ round, value }) => {
    const other = theirs.get(round);
    if (other === undefined) return [];
    const ratio = UNITS[measurement.unit] === "less" ? value / other : other / value;
    return Number.isFinite(ratio) && ratio > 0 ? [ratio] : [];
  });
}

/** What ratios are averaged by: twice as dear here and half as dear there is as dear. @param ratios at least one, above 0. */
export const geometricMean = (ratios: readonly number[]): number => Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
