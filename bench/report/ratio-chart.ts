/**
 * Costs as multiples of runc's: a lane for each runtime, with a bar from 1 to the median, a whisker over the middle half of the rounds and a dot for each round.
 * Names and numbers are text beside the drawing, whose coordinates are per cents: it gets narrower on a phone, its lines and dots do not.
 */
import { type Spread, spreadOf } from "../ratios.ts";
import { percent, times } from "./format.ts";
import { type Html, html } from "./html.ts";
import type { Scale } from "./scale.ts";

export interface Lane {
  readonly name: string;
  /** A class that gives its colour. */
  readonly colour: string;
  /** Of the rounds; none where it failed. */
  readonly ratios: readonly number[];
  /** In place of the number, or below it where there is one. */
  readonly failed?: string | undefined;
}

/** Pixels; style.ts has the same for the text beside it. */
const LANE = 24;
const AXIS = 20;

/** @param about.title for those who do not see it. @param about.caption above it. */
export function ratioChart(lanes: readonly Lane[], scale: Scale, about: { readonly title: string; readonly caption: Html }): Html {
  const height = lanes.length * LANE;
  const told = lanes.map(({ name, ratios, failed }) => `${name}: ${ratios.length === 0 ? (failed ?? "none") : times(middle(ratios).median)}`).join("; ");
  return html`<figure class="ratios">
<figcaption>${about.caption}</figcaption>
<div class="lanes">
<ul class="lane-names" aria-hidden="true">${lanes.map(({ name }) => html`<li title="${name}">${name}</li>`)}</ul>
<svg role="img" width="100%" height="${height + AXIS}"><title>${about.title}</title><desc>${told}</desc>
${gridOf(scale, height)}
${lanes.map((lane, index) => drawn(lane, index * LANE + LANE / 2, scale))}
</svg>
<ul class="lane-values">${lanes.map((lane) => html`<li><span class="unseen">${lane.name}: </span>${lane.ratios.length === 0 ? html`<em class="failed">failed</em>` : times(middle(lane.ratios).median)}</li>`)}</ul>
</div>
${failures(lanes)}
</figure>`;
}

const gridOf = (scale: Scale, height: number): Html[] =>
  scale.ticks.map((tick) => {
    const x = percent(scale.at(tick));
    return html`<line class="${tick === 1 ? "one" : "grid"}" x1="${x}" x2="${x}" y1="0" y2="${height}"/><text class="tick" x="${x}" y="${height + 14}" text-anchor="middle">${tick}</text>`;
  });

function drawn({ colour, ratios }: Lane, y: number, { at }: Scale): Html | undefined {
  if (ratios.length === 0) return undefined;
  const { low, median, high } = middle(ratios);
  const [from, to] = [Math.min(at(1), at(median)), Math.max(at(1), at(median))];
  const whisker = (x: number) => html`<line class="whisker" x1="${percent(at(x))}" x2="${percent(at(x))}" y1="${y - 4}" y2="${y + 4}"/>`;
  return html`<g class="${colour}"><rect class="bar" x="${percent(from)}" width="${percent(to - from)}" y="${y - 6}" height="12"/>
<line class="median" x1="${percent(at(median))}" x2="${percent(at(median))}" y1="${y - 8}" y2="${y + 8}"/>
${ratios.length > 1 && html`<line class="whisker" x1="${percent(at(low))}" x2="${percent(at(high))}" y1="${y}" y2="${y}"/>${whisker(low)}${whisker(high)}${ratios.map((ratio) => html`<circle class="round" cx="${percent(at(ratio))}" cy="${y}" r="2.2"/>`)}`}</g>`;
}

function failures(lanes: readonly Lane[]): Html | undefined {
  const failed = lanes.filter((lane) => lane.failed !== undefined);
  return failed.length === 0 ? undefined : html`<ul class="failures">${failed.map((lane) => html`<li><b>${lane.name}</b>: ${lane.failed}</li>`)}</ul>`;
}

function middle(ratios: readonly number[]): Spread {
  const spread = spreadOf(ratios);
  if (spread === undefined) throw new Error("a lane without rounds has no middle");
  return spread;
}
