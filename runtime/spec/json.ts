import type { Report } from "./report.ts";

// JSON.parse loses bits of integers beyond 2^53. That matters where a field keeps all 64 (scalars.ts: exactUint64), which are
// these four, and they are rarely so large: only then is the text read with a reviver, which costs four times as much.
const LARGE_EXACT_FIELD = /"(?:soft|hard|value|valueTwo)"\s*:\s*\d{16}/;
const INTEGER = /^-?\d+$/;

/** TypeScript's library does not know the reviver's third argument yet (tc39/proposal-json-parse-with-source). */
type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;
const parseWithSource = JSON.parse as (text: string, reviver: Reviver) => unknown;

/** Integers beyond 2^53 become bigint if a field that needs them exactly has one; otherwise numbers, rounded. */
export function parseJson(text: string, report: Report): unknown {
  try {
    return LARGE_EXACT_FIELD.test(text) ? parseWithSource(text, keepBits) : JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    // V8 quotes the text around the error, line ends included.
    return report.refuse("", `is not valid JSON: ${error.message.replaceAll(/\s+/g, " ")}`);
  }
}

function keepBits(_key: string, value: unknown, { source }: { source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value) || source === undefined) return value;
  return INTEGER.test(source) ? BigInt(source) : value;
}
