/** The first screen: which runtime is fast, which is exposed. */
import type { Result } from "../result.ts";
import { BASES } from "../baseline.ts";
import { baseOf, type Cost, costOver, DENSITY, overallCost, suitesOf } from "./costs.ts";
import { number, percent, plural, times } from "./format.ts";
import { type Html, html } from "./html.ts";
import { colourOf } from "./names.ts";
import { logScale } from "./scale.ts";
import { scrolling } from "./scrolling.ts";
import { suiteTitle } from "./speed.ts";
import { type Exposure, exposureOf, isTried } from "./verdicts.ts";

interface Fast {
  readonly name: string;
  readonly cost: Cost;
}
interface Exposed {
  readonly name: string;
  readonly exposure: Exposure;
}

const open = ({ counts }: Exposure): number => counts.bad + counts.leak;

export function overview(result: Result, runtimes: readonly string[]): Html {
  const fast = runtimes.map((name) => ({ name, cost: overallCost(result, name) })).filter(({ cost }) => cost.ratio !== undefined).toSorted((a, b) => ratio(a) - ratio(b));
  const exposed = runtimes.map((name) => ({ name, exposure: exposureOf(result, name) })).filter(({ exposure }) => exposure.probes > 0).toSorted((a, b) => open(a.exposure) - open(b.exposure));
  return html`<section class="answers" aria-label="The answer in short">
${fast.length > 0 && speedAnswer(result, fast, runtimes)}
${exposed.length > 0 && exposureAnswer(exposed)}
</section>
${runtimes.length > 0 && summaryTable(result, runtimes)}`;
}

const ratio = ({ cost }: Fast): number => cost.ratio ?? Infinity;

/** "runc", or "native" where there is no runc, or both where some measurements have only one. */
const namesOfBases = ({ measurements }: Result): string => BASES.filter((base) => measurements.some((measurement) => baseOf(measurement) === base)).join(" or ");

/** native is no choice: it isolates nothing. */
const isChoice = ({ name }: { readonly name: string }): boolean => name !== "native";

function speedAnswer(result: Result, fast: readonly Fast[], runtimes: readonly string[]): Html {
  const base = namesOfBases(result);
  const choices = fast.filter(isChoice);
  const [first, last] = [choices[0], choices.at(-1)];
  const scale = logScale(fast.map(ratio));
  return html`<div class="answer"><h2>Which is fast</h2>
<p>${first !== undefined && html`<b>${first.name}</b> costs least${first.name !== base && html`, ${times(ratio(first))} what ${base} does`}`}${last !== undefined && last !== first && html`; <b>${last.name}</b> costs most, ${times(ratio(last))}`}.</p>
<ol class="ranking">${fast.map(({ name, cost }) => html`<li class="${colourOf(name, runtimes)}"><span class="who" title="${name}">${name}</span>${costBar(scale.at(1), scale.at(cost.ratio ?? 1))}<span class="what">${times(cost.ratio ?? NaN)}</span><small>${rangeText(result, name, cost)}</small></li>`)}</ol>
<p class="key">Time and work as a multiple of ${base}, the geometric mean over suites; logarithmic, the line is ${base}. Further left is better.</p></div>`;
}

/** The suites that are cheapest and dearest: a mean hides them. */
function rangeText({ measurements }: Result, runtime: string, { measured, of }: Cost): string {
  const suites = Map.groupBy(measurements.filter(({ suite }) => suite !== DENSITY), ({ suite }) => suite);
  const costs = [...suites].flatMap(([, group]) => costOver(group, runtime).ratio ?? []).toSorted((a, b) => a - b);
  const range = costs.length < 2 ? "" : `${times(costs[0] ?? NaN)} to ${times(costs.at(-1) ?? NaN)} by suite`;
  return measured < of ? `${range}, ${measured} of ${plural(of, "measurement")}` : range;
}

const costBar = (one: number, at: number): Html => html`<svg aria-hidden="true" width="100%" height="20">
<rect class="bar solid" x="${percent(Math.min(one, at))}" width="${percent(Math.abs(at - one))}" y="4" height="12"/>
<line class="one" x1="${percent(one)}" x2="${percent(one)}" y1="0" y2="20"/><circle class="end" cx="${percent(at)}" cy="10" r="5"/></svg>`;

function exposureAnswer(exposed: readonly Exposed[]): Html {
  const choices = exposed.filter(isChoice);
  const [first, last] = [choices[0], choices.at(-1)];
  return html`<div class="answer"><h2>Which is exposed</h2>
<p>${first !== undefined && html`${sameAs(first, choices)} least: ${open(first.exposure)} of ${plural(first.exposure.probes, "probe")} got through`}${first !== undefined && last !== undefined && open(last.exposure) > open(first.exposure) && html`; ${sameAs(last, choices)} most: ${open(last.exposure)}`}.</p>
<ol class="ranking">${exposed.map(({ name, exposure }) => html`<li><span class="who" title="${name}">${name}</span>${exposureBar(exposure)}<span class="what">${open(exposure)}<span class="of"> / ${exposure.probes}</span></span><small>${exposureText(exposure)}</small></li>`)}</ol>
<p class="key">Probes that <span class="swatch bad"></span> reached the host kernel or hurt a neighbour, <span class="swatch leak"></span> told of the host, <span class="swatch unknown"></span> could not tell, <span class="swatch safe"></span> were held.</p></div>`;
}

/** Its name, and the others' with which it shares the place. */
function sameAs({ exposure }: Exposed, all: readonly Exposed[]): Html {
  const names = all.filter((other) => open(other.exposure) === open(exposure)).map(({ name }) => name);
  return html`${names.map((name, index) => html`${index > 0 && (index === names.length - 1 ? " and " : ", ")}<b>${name}</b>`)}`;
}

const exposureText = ({ counts }: Exposure): string =>
  `${counts.bad} reached, ${counts.leak} ${counts.leak === 1 ? "leaks" : "leak"}, ${counts.safe} held${counts.unknown > 0 ? `, ${counts.unknown} unknown` : ""}`;

function exposureBar({ counts, probes }: Exposure): Html {
  let from = 0;
  const part = (tone: keyof typeof counts): Html => {
    const x = from;
    from += counts[tone] / probes;
    return html`<rect class="${tone}" x="${percent(x)}" width="${percent(counts[tone] / probes)}" y="4" height="12"/>`;
  };
  return html`<svg aria-hidden="true" width="100%" height="20">${(["bad", "leak", "unknown", "safe"] as const).map(part)}</svg>`;
}

function summaryTable(result: Result, runtimes: readonly string[]): Html {
  const suites = suitesOf(result);
  // The first is the plainest: what guest code itself can call.
  const surface = result.probes.find(({ area }) => area === "surface");
  const probed = result.probes.some(isTried);
  const row = (runtime: string): Html => html`<tr><th scope="row">${runtime}</th>${suites.map((suite) => costCell(costOver(result.measurements.filter((measurement) => measurement.suite === suite), runtime)))}${surface !== undefined && numberCell(surface.outcomes[runtime]?.value)}${probed && numberCell(openOf(result, runtime))}</tr>`;
  return html`<section aria-labelledby="summary-h"><h2 id="summary-h">At a glance</h2>
<p>Costs as multiples of ${namesOfBases(result)}, geometric means: above 1 is dearer. Then counts: how much of a kernel is within reach, and how many probes got through.</p>
${scrolling("At a glance", html`<table class="summary">
<thead><tr><th scope="col">Runtime</th>${suites.map((suite) => html`<th scope="col">${suiteTitle(suite)}</th>`)}${surface !== undefined && html`<th scope="col">${surface.name}</th>`}${probed && html`<th scope="col">probes that got through</th>`}</tr></thead>
<tbody>${runtimes.map(row)}</tbody></table>`)}</section>`;
}

/** Undefined where nothing was tried: none of none is no good mark. */
function openOf(result: Result, runtime: string): number | undefined {
  const exposure = exposureOf(result, runtime);
  return exposure.probes === 0 ? undefined : open(exposure);
}

const numberCell = (value: number | undefined): Html => (value === undefined ? html`<td class="none"><span aria-label="unknown">&ndash;</span></td>` : html`<td>${number(value)}</td>`);

function costCell({ ratio, measured, of }: Cost): Html {
  if (ratio === undefined) return html`<td class="none"><span aria-label="not compared">&ndash;</span></td>`;
  return html`<td class="${heat(ratio)}">${times(ratio)}${measured < of && html`<small>${measured} of ${of}</small>`}</td>`;
}

/** A tint beside the number. */
const heat = (ratio: number): string => (ratio < 0.9 ? "better" : ratio < 1.25 ? "even" : ratio < 3 ? "dear" : "dearest");
