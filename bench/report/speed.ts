/** The suites: ratios as charts, medians with units as tables. */
import { type Spread, spreadFor } from "../ratios.ts";
import type { Measurement, Result } from "../result.ts";
import { baseOf, failureOf, ratiosOf } from "./costs.ts";
import { number } from "./format.ts";
import { type Html, html } from "./html.ts";
import { colourOf, runtimeHeads } from "./names.ts";
import { type Lane, ratioChart } from "./ratio-chart.ts";
import { logScale } from "./scale.ts";
import { scrolling } from "./scrolling.ts";

const TITLES: Readonly<Record<string, string>> = {
  start: "Start", syscalls: "System calls", files: "Files", processes: "Processes", network: "Network", workloads: "Workloads", density: "Density",
};
/** Suites have short names; a new one is shown by its own. */
export const suiteTitle = (suite: string): string => TITLES[suite] ?? suite;

export function suiteSection(suite: string, result: Result, runtimes: readonly string[]): Html {
  const measurements = result.measurements.filter((measurement) => measurement.suite === suite);
  return html`<section id="${anchorOf(suite)}" aria-labelledby="${anchorOf(suite)}-h">
<h3 id="${anchorOf(suite)}-h">${suiteTitle(suite)}</h3>
<div class="charts">${ratioFigures(measurements, runtimes)}</div>
${valueTable(measurements, runtimes, suiteTitle(suite))}
</section>`;
}

/** Names of suites may be anything. */
export const anchorOf = (suite: string): string => `suite-${suite.replaceAll(/[^\w-]/g, "_")}`;

/** All with one axis, so that bars can be compared from one to the next. */
export function ratioFigures(measurements: readonly Measurement[], runtimes: readonly string[]): Html[] {
  const comparable = measurements.filter((measurement) => baseOf(measurement) !== undefined);
  const scale = logScale(comparable.flatMap((measurement) => runtimes.flatMap((runtime) => ratiosOf(measurement, runtime))));
  return comparable.map((measurement) =>
    ratioChart(lanesOf(measurement, runtimes), scale, {
      title: `${measurement.name}: cost as a multiple of ${baseOf(measurement) ?? ""}`,
      caption: html`<b>${measurement.name}</b> <small>&times; ${baseOf(measurement)}</small>`,
    }),
  );
}

const lanesOf = (measurement: Measurement, runtimes: readonly string[]): Lane[] =>
  runtimes.flatMap((name) => {
    const samples = measurement.samples[name];
    if (samples === undefined || samples.rounds.length + samples.failures.length === 0) return [];
    return [{ name, colour: colourOf(name, runtimes), ratios: ratiosOf(measurement, name), failed: failureOf(samples) }];
  });

export function valueTable(measurements: readonly Measurement[], runtimes: readonly string[], title: string): Html {
  return scrolling(`${title}: medians`, html`<table class="values">
<caption>Medians, and the middle half of the rounds</caption>
<thead><tr><th scope="col">${title}</th><th scope="col">Unit</th>${runtimeHeads(runtimes)}</tr></thead>
<tbody>${measurements.map((measurement) => html`<tr><th scope="row">${measurement.name}</th><td class="unit">${measurement.unit}</td>${runtimes.map((runtime) => valueCell(measurement, runtime))}</tr>`)}</tbody>
</table>`);
}

function valueCell(measurement: Measurement, runtime: string): Html {
  const samples = measurement.samples[runtime];
  if (samples === undefined) return html`<td class="none"><span aria-label="not measured">&ndash;</span></td>`;
  const spread = spreadFor(measurement, runtime);
  const failure = failureOf(samples);
  return html`<td${spread === undefined && html` class="failed"`}>${spread !== undefined && spreadText(spread)}${failure !== undefined && html`<small class="why">${failure}</small>`}</td>`;
}

const spreadText = ({ low, median, high }: Spread): Html =>
  html`${number(median)}${low < high && html`<small>${number(low)}&ndash;${number(high)}</small>`}`;
