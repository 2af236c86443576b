import { parseSignal } from "../../linux/abi/signal.ts";

/** Thrown by a parser. By its code commander knows it for one of its own, without being loaded. */
export class InvalidArgumentError extends Error {
  readonly code = "commander.invalidArgument";
  readonly exitCode = 1;
}

/** A parser for a whole number within a range. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text) || value < min || value > max) throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };
}

const UNITS: Record<string, number> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** A parser for a number of bytes of at least `min`: `268435456`, `256m`, `256MiB`; all units are powers of 1024. */
export function bytes(min: number): (text: string) => number {
  return (text) => {
    const match = /^(-?\d+)([kmgt]?)(?:i?b)?$/i.exec(text);
    const value = match === null ? Number.NaN : Number(match[1]) * (UNITS[(match[2] ?? "").toLowerCase()] ?? 1);
    if (!Number.isSafeInteger(value) || value < min) throw new InvalidArgumentError("It must be a number of bytes such as 268435456 or 256m.");
    return value;
  };
}

/** A signal by name or number. */
export function signalArgument(text: string): number {
  const signal = parseSignal(text);
  if (signal === undefined) throw new InvalidArgumentError("It is not a signal.");
  return signal;
}

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** `10s`, `500ms`, `1m30s`, or a bare number of seconds. @returns milliseconds. */
export function duration(text: string): number {
  const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) throw new InvalidArgumentError("It must be a duration such as 5s or 500ms.");
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * (units[unit ?? ""] ?? 0), 0);
}
