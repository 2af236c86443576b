import { CgroupError } from "./files.ts";

/** The decimal form of an integer, never with an exponent. */
export const decimal = (value: number): string => BigInt(value).toString();

/** Engines write 0 for "not set" into every numeric limit, so runc's drivers, and this one, write nothing then. */
export const isSet = (value: number | undefined): value is number => value !== undefined && value !== 0;

/** -1, and the same stored as uint64: what Docker sends for "not set" in an unsigned field. */
export const isMinusOne = (value: number): boolean => value === -1 || value >= 2 ** 64 - 4096;

/** @throws CgroupError for a setting that the hierarchy in use has no knob for. */
export function unsupportedOnV2(field: string): never {
  throw new CgroupError(`linux.resources.${field}`, "cgroup v2 has no such setting");
}
