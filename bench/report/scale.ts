/** Where a value stands between the ends of an axis. */

export interface Scale {
  /** 0 to 1 for what is on the axis. */
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

const MOST_TICKS = 6;

/** Logarithmic, for ratios: 1 is always on it. @param values above 0. */
export function logScale(values: readonly number[]): Scale {
  const [low, high] = [Math.min(1, ...values), Math.max(1, ...values)];
  // A little room beyond the outermost, and no less than from a half to 2: differences of a per cent are not to fill the page.
  const [from, to] = [Math.log(Math.min(low / 1.15, 0.5)), Math.log(Math.max(high * 1.15, 2))];
  return { at: (value) => (Math.log(value) - from) / (to - from), ticks: ticksBetween(Math.exp(from), Math.exp(to)) };
}

/** Of 1, 2 and 5 times the powers of ten all, or the powers alone where those are too many. */
function ticksBetween(from: number, to: number): number[] {
  for (const steps of [[1, 2, 5], [1]]) {
    const ticks = decades(from, to).flatMap((power) => steps.map((step) => Number(`${step}e${power}`)));
    const inside = ticks.filter((tick) => tick >= from && tick <= to);
    if (inside.length <= MOST_TICKS || steps.length === 1) return inside;
  }
  return [];
}

function decades(from: number, to: number): number[] {
  const [first, last] = [Math.floor(Math.log10(from)), Math.ceil(Math.log10(to))];
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** From 0 to a round number that is no less than the largest; to 1 where all are 0. */
export function linearScale(values: readonly number[]): Scale {
  const high = Math.max(0, ...values) || 1;
  const magnitude = 10 ** Math.floor(Math.log10(high / 4));
  const step = magnitude * ([1, 2, 2.5, 5, 10].find((each) => high / (magnitude * each) <= 4) ?? 10);
  const count = Math.ceil(high / step);
  return { at: (value) => value / (step * count), ticks: Array.from({ length: count + 1 }, (_, index) => index * step) };
}
