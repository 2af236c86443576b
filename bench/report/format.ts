/** Numbers for people. */

/** Three digits that count, of what is no whole number; thousands apart by a narrow space that does not break. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const whole = Number.isInteger(value) || Math.abs(value) >= 100;
  const digits = whole ? value.toFixed(0) : value.toPrecision(3);
  return digits.includes(".") ? digits : digits.replace(/\B(?=(\d{3})+$)/g, "\u202F");
}

/** "1.20 ×": two digits behind the point are as many as a ratio of medians deserves. */
export const times = (ratio: number): string => `${ratio < 10 ? ratio.toFixed(2) : number(ratio)}\u202F×`;

/** @param bytes of memory. */
export const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

export function duration(seconds: number): string {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  return seconds < 6000 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export const plural = (count: number, one: string, more = `${one}s`): string => `${count} ${count === 1 ? one : more}`;

/** In the form of an attribute of SVG: 0 to 1 as "12.34%". */
export const percent = (part: number): string => `${(part * 100).toFixed(2)}%`;
