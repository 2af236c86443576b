/** Memory and start rates by the number of containers: a line for each runtime. */
import { spreadFor } from "../ratios.ts";
import type { Measurement, Result, Unit } from "../result.ts";
import { DENSITY } from "./costs.ts";
import { number, percent } from "./format.ts";
import { type Html, html } from "./html.ts";
import { colourOf } from "./names.ts";
import { linearScale, type Scale } from "./scale.ts";
import { anchorOf, ratioFigures, suiteTitle, valueTable } from "./speed.ts";

export function densitySection(result: Result, runtimes: readonly string[]): Html {
  const measurements = result.measurements.filter(({ suite }) => suite === DENSITY);
  const families = familiesOf(measurements);
  const inFamilies = new Set(families.flatMap(({ members }) => members.map(({ measurement }) => measurement)));
  return html`<section id="${anchorOf(DENSITY)}" aria-labelledby="${anchorOf(DENSITY)}-h">
<h3 id="${anchorOf(DENSITY)}-h">${suiteTitle(DENSITY)}</h3>
<div class="charts">${families.map((family) => lineChart(family, runtimes))}${ratioFigures(measurements.filter((measurement) => !inFamilies.has(measurement)), runtimes)}</div>
${valueTable(measurements, runtimes, suiteTitle(DENSITY))}
</section>`;
}

interface Family {
  /** With "n" for the number. */
  readonly name: string;
  readonly unit: Unit;
  readonly members: readonly { readonly count: number; readonly measurement: Measurement }[];
}

/** Measurements whose names differ in their first number alone: "idle containers: 10". At least two make a line. */
export function familiesOf(measurements: readonly Measurement[]): Family[] {
  const families = Map.groupBy(measurements.filter(({ name }) => /\d/.test(name)), ({ name, unit }) => `${name.replace(/\d+/, "n")}\0${unit}`);
  return [...families.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined || group.length < 2) return [];
    const members = group.map((measurement) => ({ count: Number(/\d+/.exec(measurement.name)?.[0]), measurement }));
    return [{ name: first.name.replace(/\d+/, "n"), unit: first.unit, members: members.toSorted((a, b) => a.count - b.count) }];
  });
}

interface Point {
  readonly x: number;
  readonly y: number;
  readonly value: number;
}
interface Line {
  readonly name: string;
  readonly colour: string;
  readonly points: readonly Point[];
}

const HEIGHT = 240;
const AXIS = 22;
/** Pixels between two names at the ends of their lines. */
const NAME = 17;

function lineChart(family: Family, runtimes: readonly string[]): Html {
  const values = family.members.flatMap(({ measurement }) => runtimes.flatMap((runtime) => spreadFor(measurement, runtime)?.median ?? []));
  const scale = linearScale(values);
  const lines = runtimes.map((name) => lineOf(name, colourOf(name, runtimes), family, scale)).filter(({ points }) => points.length > 0);
  const title = `${family.name}, ${family.unit}`;
  const told = lines.map(({ name, points }) => `${name}: ${points.map(({ value }) => number(value)).join(", ")}`).join("; ");
  return html`<figure class="lines"><figcaption><b>${family.name}</b> <small>${family.unit}, n = ${family.members.map(({ count }) => count).join(", ")}</small></figcaption>
<div class="plot">
<ul class="line-ticks" aria-hidden="true">${scale.ticks.map((tick) => html`<li style="top:${(1 - scale.at(tick)) * HEIGHT}px">${number(tick)}</li>`)}</ul>
<svg role="img" width="100%" height="${HEIGHT + AXIS}"><title>${title}</title><desc>${told}</desc>
${scale.ticks.map((tick) => html`<line class="grid" x1="0" x2="100%" y1="${(1 - scale.at(tick)) * HEIGHT}" y2="${(1 - scale.at(tick)) * HEIGHT}"/>`)}
${family.members.map(({ count }) => html`<text class="tick" x="${percent(across(family, count))}" y="${HEIGHT + 16}" text-anchor="middle">${count}</text>`)}
${lines.map(drawn)}
</svg>
<ul class="line-names">${apart(lines).map(({ line, top }) => html`<li class="${line.colour}" style="top:${top}px" title="${line.name}">${line.name}<span class="unseen">: ${line.points.map(({ value }) => number(value)).join(", ")} ${family.unit}</span></li>`)}</ul>
</div></figure>`;
}

const lineOf = (name: string, colour: string, family: Family, scale: Scale): Line => ({
  name,
  colour,
  points: family.members.flatMap(({ count, measurement }) => {
    const median = spreadFor(measurement, name)?.median;
    return median === undefined ? [] : [{ x: across(family, count), y: (1 - scale.at(median)) * HEIGHT, value: median }];
  }),
});

/** Logarithmic: 1, 10 and 50 are nearly as far from each other. Zero is put where 1 is. */
function across({ members }: Family, count: number): number {
  const logs = members.map((member) => Math.log(Math.max(member.count, 1)));
  const [from, to] = [Math.min(...logs), Math.max(...logs)];
  return 0.04 + 0.92 * (to === from ? 0.5 : (Math.log(Math.max(count, 1)) - from) / (to - from));
}

function drawn({ colour, points }: Line): Html {
  const pieces = points.slice(1).map((to, index) => ({ from: points[index] ?? to, to }));
  return html`<g class="${colour}">${pieces.map(({ from, to }) => html`<line class="line" x1="${percent(from.x)}" y1="${from.y}" x2="${percent(to.x)}" y2="${to.y}"/>`)}${points.map(({ x, y }) => html`<circle class="point" cx="${percent(x)}" cy="${y}" r="4"/>`)}</g>`;
}

/** A name stands where its line ends, and below the name above it. */
function apart(lines: readonly Line[]): { readonly line: Line; readonly top: number }[] {
  const ends = lines.map((line) => ({ line, top: line.points.at(-1)?.y ?? 0 })).toSorted((a, b) => a.top - b.top);
  const lowest = HEIGHT + AXIS - NAME;
  let above = -NAME;
  const down = ends.map(({ line, top }) => {
    above = Math.max(top - NAME / 2, above + NAME);
    return { line, top: above };
  });
  // Those that were pushed out at the bottom push the others up.
  let below = lowest + NAME;
  return down.toReversed().map(({ line, top }) => {
    below = Math.min(top, below - NAME);
    return { line, top: below };
  });
}
