/** A span's place in a trace, as callers hand it on. Source: W3C Trace Context, "traceparent". */

export interface Parent {
  readonly traceId: string;
  readonly spanId: string;
  /** Whether the trace is being recorded. */
  readonly sampled: boolean;
}

const FORM = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

/** @returns undefined for what is no traceparent: it is to be ignored. */
export function parseParent(text: string | undefined): Parent | undefined {
  const [, traceId, spanId, flags] = FORM.exec(text?.trim() ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}
