/** What a verdict looks like: a word, a mark that can be told from others without colour, and a colour. */
import { type Probe, type Result, type Verdict, VERDICTS } from "../result.ts";
import { type Html, html } from "./html.ts";

/** `safe`: held. `bad`: the host was reached. */
type Tone = "safe" | "leak" | "bad" | "unknown";

interface Look {
  readonly tone: Tone;
  readonly mark: string;
  /** For the legend. */
  readonly meaning: string;
}

const LOOKS: Readonly<Record<Verdict, Look>> = {
  blocked: { tone: "safe", mark: "○", meaning: "refused" },
  emulated: { tone: "safe", mark: "○", meaning: "answered by a kernel that is not the host's" },
  hidden: { tone: "safe", mark: "○", meaning: "the host's value is not to be had" },
  allowed: { tone: "safe", mark: "○", meaning: "a resource attack was contained, and neighbours were served" },
  leaks: { tone: "leak", mark: "◐", meaning: "the host's value is told" },
  reached: { tone: "bad", mark: "●", meaning: "the host kernel itself acted on it, or neighbours suffered" },
  unknown: { tone: "unknown", mark: "?", meaning: "the probe could not tell" },
};

export const toneOf = (verdict: Verdict): Tone => LOOKS[verdict].tone;

export const pill = (verdict: Verdict): Html => html`<span class="pill ${toneOf(verdict)}"><span aria-hidden="true">${LOOKS[verdict].mark}</span> ${verdict}</span>`;

export const legend = (): Html => html`<dl class="legend">${VERDICTS.map((verdict) => html`<div><dt>${pill(verdict)}</dt><dd>${LOOKS[verdict].meaning}</dd></div>`)}</dl>`;

/** The most exposed of several, and `unknown` only where nothing else is. */
export function worstOf(verdicts: readonly Verdict[]): Verdict | undefined {
  const known = verdicts.filter((verdict) => verdict !== "unknown");
  return (known.length === 0 ? verdicts : known).toSorted((a, b) => VERDICTS.indexOf(b) - VERDICTS.indexOf(a))[0];
}

export interface Exposure {
  readonly counts: Readonly<Record<Tone, number>>;
  readonly probes: number;
}

/** Of what was tried against a runtime. How much surface it has is counted elsewhere, in numbers. */
export function exposureOf({ probes }: Result, runtime: string): Exposure {
  const counts: Record<Tone, number> = { safe: 0, leak: 0, bad: 0, unknown: 0 };
  const tried = probes.filter(isTried).flatMap(({ outcomes }) => outcomes[runtime] ?? []);
  for (const { verdict } of tried) counts[toneOf(verdict)] += 1;
  return { counts, probes: tried.length };
}

export const isTried = ({ area }: Probe): boolean => area !== "surface";
