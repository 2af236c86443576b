import type * as v from "valibot";

import { member, type Report } from "./report.ts";
import { suggest } from "./suggest.ts";

// "Runtimes MAY log unknown properties but MUST otherwise ignore them" (config.md#extensibility). They are ignored aloud: a
// misspelt limit that is silently not enforced is worse than a line in the log.

type Schema = v.GenericSchema;
type ObjectSchema = v.ObjectSchema<v.ObjectEntries, undefined>;

/** Where a value stands: kept as links, because a path is wanted only for the few values that are worth a line. */
interface Place {
  readonly parent: Place | undefined;
  readonly key: string | number;
}

const pathOf = (place: Place | undefined): string => (place === undefined ? "" : member(pathOf(place.parent), place.key));

/**
 * Warns of every property of `value` that `schema` does not have, removes properties that are null (what Go writes for an
 * empty slice or map, and reads as absent), and refuses arrays in the place of objects (valibot takes an array for an
 * object). Anything else is left to the schema.
 */
export function warnOfUnknownProperties(schema: Schema, value: unknown, report: Report): void {
  walk(schema, value, undefined, report);
}

function walk(schema: Schema, value: unknown, place: Place | undefined, report: Report): void {
  if (typeof value !== "object" || value === null) return;
  switch (schema.type) {
    case "optional":
      return walk((schema as unknown as { wrapped: Schema }).wrapped, value, place, report);
    case "object":
      return eachProperty((schema as ObjectSchema).entries, value, place, report);
    case "record":
      return eachItem((schema as unknown as { value: Schema }).value, value, place, report);
    case "array":
      if (Array.isArray(value)) eachElement((schema as unknown as { item: Schema }).item, value, place, report);
      return;
    default:
  }
}

function withoutNulls(value: object, place: Place | undefined, report: Report): Record<string, unknown> {
  if (Array.isArray(value)) report.refuse(pathOf(place), "must be an object, is an array");
  const properties = value as Record<string, unknown>;
  for (const key in properties) if (properties[key] === null) delete properties[key];
  return properties;
}

function eachProperty(entries: v.ObjectEntries, value: object, place: Place | undefined, report: Report): void {
  const properties = withoutNulls(value, place, report);
  for (const key of Object.keys(properties)) {
    const here = { parent: place, key };
    if (Object.hasOwn(entries, key)) {
      walk(entries[key] as Schema, properties[key], here, report);
      continue;
    }
    const near = suggest(key, Object.keys(entries));
    report.warn(pathOf(here), near === undefined ? "unknown property, ignored" : `unknown property, ignored (did you mean "${near}"?)`);
  }
}

function eachItem(schema: Schema, value: object, place: Place | undefined, report: Report): void {
  const properties = withoutNulls(value, place, report);
  if (isLeaf(schema)) return;
  for (const [key, item] of Object.entries(properties)) walk(schema, item, { parent: place, key }, report);
}

function eachElement(schema: Schema, value: readonly unknown[], place: Place | undefined, report: Report): void {
  if (isLeaf(schema)) return;
  value.forEach((item, key) => walk(schema, item, { parent: place, key }, report));
}

/** Lists of strings and numbers are most of a config: nothing is below their items. */
const isLeaf = (schema: Schema): boolean => schema.type !== "object" && schema.type !== "record" && schema.type !== "array";
