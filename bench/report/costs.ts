/** Of a result: what each runtime costs against runc, or native where there is no runc. */
import { BASES } from "../baseline.ts";
import { geometricMean, ratiosTo, spreadOf } from "../ratios.ts";
import type { Measurement, Result, Samples } from "../result.ts";
import { plural } from "./format.ts";

export type Base = (typeof BASES)[number];

/** Memory is not speed: it has a section of its own. */
export const DENSITY = "density";

/** In the order of the result. */
export const suitesOf = ({ measurements }: Result): string[] => [...new Set(measurements.map(({ suite }) => suite))];

/** What the others are compared with in this measurement. */
export const baseOf = ({ samples }: Measurement): Base | undefined => BASES.find((base) => (samples[base]?.rounds.length ?? 0) > 0);

/** One for each round; of the base itself ones. */
export function ratiosOf(measurement: Measurement, runtime: string): number[] {
  const base = baseOf(measurement);
  return base === undefined ? [] : ratiosTo(base, measurement, runtime);
}

/** "timed out after 60 s (2 of 5 rounds)", each reason once. */
export function failureOf({ rounds, failures }: Samples): string | undefined {
  if (failures.length === 0) return undefined;
  const whys = [...new Set(failures.map(({ why }) => why))].join("; ");
  return `${whys} (${failures.length} of ${plural(rounds.length + failures.length, "round")})`;
}

export interface Cost {
  /** The geometric mean of the medians; undefined where nothing could be compared. */
  readonly ratio: number | undefined;
  /** How many measurements are in it, of how many that the base has. */
  readonly measured: number;
  readonly of: number;
}

export function costOver(measurements: readonly Measurement[], runtime: string): Cost {
  const comparable = measurements.filter((measurement) => baseOf(measurement) !== undefined);
  const medians = comparable.flatMap((measurement) => spreadOf(ratiosOf(measurement, runtime))?.median ?? []);
  return { ratio: medians.length === 0 ? undefined : geometricMean(medians), measured: medians.length, of: comparable.length };
}

/** Over suites, each of which counts once however many measurements it has. Without density. */
export function overallCost(result: Result, runtime: string): Cost {
  const suites = suitesOf(result).filter((suite) => suite !== DENSITY);
  const costs = suites.map((suite) => costOver(result.measurements.filter((measurement) => measurement.suite === suite), runtime));
  const ratios = costs.flatMap(({ ratio }) => ratio ?? []);
  const sum = (of: (cost: Cost) => number) => costs.reduce((total, cost) => total + of(cost), 0);
  return { ratio: ratios.length === 0 ? undefined : geometricMean(ratios), measured: sum(({ measured }) => measured), of: sum((cost) => cost.of) };
}
