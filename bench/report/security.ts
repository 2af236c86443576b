/** The probes: what of the host kernel is within reach as bars, and what became of each attempt as a matrix. */
import type { Outcome, Probe, Result } from "../result.ts";
import { number, percent } from "./format.ts";
import { type Html, html } from "./html.ts";
import { colourOf, runtimeHeads } from "./names.ts";
import { linearScale } from "./scale.ts";
import { scrolling } from "./scrolling.ts";
import { isTried, legend, pill, worstOf } from "./verdicts.ts";

const AREAS = [
  ["escapes", "Ways out", "What published escapes stood on, tried harmlessly."],
  ["leaks", "Leaks", "What the inside can tell of the host."],
  ["resources", "Resource attacks", "Whether neighbours are still served."],
] as const;

export function securitySection({ probes }: Result, all: readonly string[]): Html {
  const runtimes = all.filter((runtime) => probes.some(({ outcomes }) => outcomes[runtime] !== undefined));
  const of = (area: Probe["area"]): Probe[] => probes.filter((probe) => probe.area === area);
  return html`${of("surface").length > 0 && surfaceSection(of("surface"), runtimes, all)}
${probes.some(isTried) && html`<section id="verdicts" aria-labelledby="verdicts-h"><h3 id="verdicts-h">How to read the verdicts</h3>${legend()}</section>`}
${AREAS.map(([area, title, about]) => of(area).length > 0 && html`<section id="${area}" aria-labelledby="${area}-h"><h3 id="${area}-h">${title}</h3><p>${about} Each name tells what its probe does.</p>${matrix(of(area), runtimes, title)}</section>`)}
${familySection(probes, runtimes)}`;
}

function matrix(probes: readonly Probe[], runtimes: readonly string[], title: string): Html {
  return scrolling(`${title}: verdicts`, html`<table class="matrix">
<thead><tr><th scope="col">Probe</th>${runtimeHeads(runtimes)}</tr></thead>
<tbody>${probes.map((probe) => html`<tr><th scope="row">${aboutOf(probe)}</th>${runtimes.map((runtime) => cell(probe, probe.outcomes[runtime]))}</tr>`)}</tbody>
</table>`);
}

const aboutOf = ({ name, about, families = [] }: Probe): Html =>
  html`<details><summary>${name}</summary><p>${about}</p></details>${families.length > 0 && html`<small class="families">${families.map((family, index) => html`${index > 0 && ", "}<span class="whole">${family}</span>`)}</small>`}`;

/** More than this is told on demand. */
const SHORT = 48;

function cell({ unit = "" }: Probe, outcome: Outcome | undefined): Html {
  if (outcome === undefined) return html`<td class="none"><span aria-label="not tried">&ndash;</span></td>`;
  const { verdict, detail, value } = outcome;
  const counted = value === undefined ? undefined : `${number(value)} ${unit}`;
  if ((detail?.length ?? 0) > SHORT) return html`<td><details class="why"><summary>${pill(verdict)}</summary><small>${detail}</small></details>${counted !== undefined && html`<small>${counted}</small>`}</td>`;
  return html`<td>${pill(verdict)}${[counted, detail].map((text) => text !== undefined && html`<small>${text}</small>`)}</td>`;
}

function surfaceSection(probes: readonly Probe[], runtimes: readonly string[], all: readonly string[]): Html {
  const largest = Math.max(1, ...probes.flatMap(({ outcomes }) => Object.values(outcomes).map(({ value = 0 }) => value)));
  return html`<section id="surface" aria-labelledby="surface-h"><h3 id="surface-h">Surface</h3>
<p>How much of a kernel guest code can call, and whose.</p>
<div class="charts">${probes.map((probe) => countChart(probe, { runtimes, all, largest }))}</div></section>`;
}

/** Pixels; style.ts has the same for the text beside it. */
const LANE = 24;

interface Common {
  readonly runtimes: readonly string[];
  /** Those without probes, too: a colour goes by the place among all. */
  readonly all: readonly string[];
  /** Of all the charts, which have one axis. */
  readonly largest: number;
}

function countChart({ name, about, unit = "", outcomes }: Probe, { runtimes, all, largest }: Common): Html {
  const lanes = runtimes.flatMap((runtime) => {
    const outcome = outcomes[runtime];
    return outcome === undefined ? [] : [{ runtime, ...outcome }];
  });
  const { at, ticks } = linearScale([largest]);
  const height = lanes.length * LANE;
  const told = lanes.map(({ runtime, verdict, value }) => `${runtime}: ${value === undefined ? verdict : `${value}, ${verdict}`}`).join("; ");
  return html`<figure class="ratios"><figcaption><b>${name}</b> <small>${unit}</small></figcaption>
<div class="lanes">
<ul class="lane-names" aria-hidden="true">${lanes.map(({ runtime }) => html`<li title="${runtime}">${runtime}</li>`)}</ul>
<svg role="img" width="100%" height="${height + 20}"><title>${name}</title><desc>${told}</desc>
${ticks.map((tick) => html`<line class="${tick === 0 ? "one" : "grid"}" x1="${percent(at(tick))}" x2="${percent(at(tick))}" y1="0" y2="${height}"/><text class="tick" x="${percent(at(tick))}" y="${height + 14}" text-anchor="middle">${tick}</text>`)}
${lanes.map(({ runtime, value = 0 }, index) => html`<g class="${colourOf(runtime, all)}"><rect class="bar solid" x="0" width="${percent(at(value))}" y="${index * LANE + 6}" height="12"/></g>`)}
</svg>
<ul class="lane-values">${lanes.map(({ runtime, value, verdict }) => html`<li><span class="unseen">${runtime}: </span>${value === undefined ? html`<em>${verdict}</em>` : number(value)}</li>`)}</ul>
</div>
<details class="about"><summary>What is counted</summary><p>${about}</p><ul>${lanes.map(({ runtime, verdict, detail }) => html`<li><b>${runtime}</b>: ${verdict}${detail !== undefined && `, ${detail}`}</li>`)}</ul></details></figure>`;
}

/** For who comes with a CVE in mind: the worst verdict of the probes that it stood on. */
function familySection(probes: readonly Probe[], runtimes: readonly string[]): Html | undefined {
  const families = [...new Set(probes.flatMap(({ families = [] }) => families))].toSorted((a, b) => b.localeCompare(a, "en", { numeric: true }));
  if (families.length === 0) return undefined;
  const rows = families.map((family) => {
    const on = probes.filter((probe) => probe.families?.includes(family));
    return html`<tr><th scope="row"><span class="whole">${family}</span><small class="families">${on.map(({ name }) => name).join(", ")}</small></th>${runtimes.map((runtime) => {
      const worst = worstOf(on.flatMap(({ outcomes }) => outcomes[runtime]?.verdict ?? []));
      return html`<td>${worst === undefined ? html`<span aria-label="not tried">&ndash;</span>` : pill(worst)}</td>`;
    })}</tr>`;
  });
  return html`<section id="families" aria-labelledby="families-h"><h3 id="families-h">Published escapes</h3>
<p>The worst verdict of the probes for what each stood on. &ldquo;Reached&rdquo; means that the door is there, not that the fault behind it is.</p>
${scrolling("Published escapes: verdicts", html`<table class="matrix"><thead><tr><th scope="col">Family</th>${runtimeHeads(runtimes)}</tr></thead><tbody>${rows}</tbody></table>`)}</section>`;
}
