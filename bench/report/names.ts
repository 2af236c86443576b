/** The runtimes of a report: which have something to show, and what each looks like everywhere. */
import type { Result } from "../result.ts";
import { type Html, html } from "./html.ts";

/** In the order of the result; those that were left out altogether are told of in the head. */
export function shownRuntimes({ runtimes, measurements, probes }: Result): string[] {
  const seen = new Set([...measurements.map(({ samples }) => samples), ...probes.map(({ outcomes }) => outcomes)].flatMap((record) => Object.keys(record)));
  const listed = runtimes.map(({ name }) => name);
  return [...listed.filter((name) => seen.has(name)), ...[...seen].filter((name) => !listed.includes(name))];
}

/** As many as style.ts has colours for. */
const COLOURS = 8;

/** A class that gives the runtime's colour as `--c`. native has none of its own: it is what isolation is measured against. */
export function colourOf(runtime: string, runtimes: readonly string[]): string {
  return runtime === "native" ? "c-native" : `c${runtimes.filter((name) => name !== "native").indexOf(runtime) % COLOURS}`;
}

/** A head of a table with a column for each. */
export const runtimeHeads = (runtimes: readonly string[]): Html[] => runtimes.map((runtime) => html`<th scope="col">${breakable(runtime)}</th>`);

/** A long name may break after its hyphens, and, if it must, anywhere. */
const breakable = (name: string): Html => html`<span class="name">${name}</span>`;
