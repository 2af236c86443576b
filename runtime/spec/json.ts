import type { Report } from "./report.ts";

// What plain JSON.parse gets wrong for a config: numbers beyond 2^53 lose bits, and `null`, which Go writes for an empty
// slice or map and reads as absent, would be a value. Both are rare, and a reviver is called for every value: only a text
// that shows a sign of either pays for it.
const NEEDS_REVIVER = /\d{16}|\bnull\b/;
const INTEGER = /^-?\d+$/;

/** TypeScript's library does not know the reviver's third argument yet (tc39/proposal-json-parse-with-source). */
type Reviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;
const parseWithSource = JSON.parse as (text: string, reviver: Reviver) => unknown;

/** Integers beyond 2^53 become bigint; properties that are null are left out. */
export function parseJson(text: string, report: Report): unknown {
  try {
    return NEEDS_REVIVER.test(text) ? parseWithSource(text, revive) : JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    // V8 quotes the text around the error, line ends included.
    return report.refuse("", `is not valid JSON: ${error.message.replaceAll(/\s+/g, " ")}`);
  }
}

function revive(this: unknown, key: string, value: unknown, context: { source?: string }): unknown {
  // The document itself is handed in under the key "".
  if (value === null) return Array.isArray(this) || key === "" ? null : undefined;
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const { source } = context;
  return source !== undefined && INTEGER.test(source) ? BigInt(source) : value;
}
