import type * as v from "valibot";

import { member, type Report } from "./report.ts";
import { suggest } from "./suggest.ts";

// "Runtimes MAY log unknown properties but MUST otherwise ignore them" (config.md#extensibility). They are ignored aloud: a
// misspelt limit that is silently not enforced is worse than a line in the log.

type Schema = v.GenericSchema;
type ObjectSchema = v.ObjectSchema<v.ObjectEntries, undefined>;

/**
 * Warns of every property of `value` that `schema` does not have, and refuses arrays in the place of objects (valibot takes
 * an array for an object). Anything else is left to the schema.
 */
export function warnOfUnknownProperties(schema: Schema, value: unknown, field: string, report: Report): void {
  if (typeof value !== "object" || value === null) return;
  switch (schema.type) {
    case "object":
      refuseArray(value, field, report);
      return eachProperty((schema as ObjectSchema).entries, value, field, report);
    case "record":
      refuseArray(value, field, report);
      for (const [key, item] of Object.entries(value)) {
        warnOfUnknownProperties((schema as unknown as { value: Schema }).value, item, member(field, key), report);
      }
      return;
    case "array":
      if (!Array.isArray(value)) return;
      value.forEach((item, index) => warnOfUnknownProperties((schema as unknown as { item: Schema }).item, item, member(field, index), report));
      return;
    case "optional":
      return warnOfUnknownProperties((schema as unknown as { wrapped: Schema }).wrapped, value, field, report);
    default:
  }
}

function refuseArray(value: object, field: string, report: Report): void {
  if (Array.isArray(value)) report.refuse(field, "must be an object, is an array");
}

function eachProperty(entries: v.ObjectEntries, value: object, field: string, report: Report): void {
  for (const [key, item] of Object.entries(value)) {
    const at = member(field, key);
    if (Object.hasOwn(entries, key)) {
      warnOfUnknownProperties(entries[key] as Schema, item, at, report);
      continue;
    }
    const near = suggest(key, Object.keys(entries));
    report.warn(at, near === undefined ? "unknown property, ignored" : `unknown property, ignored (did you mean "${near}"?)`);
  }
}
