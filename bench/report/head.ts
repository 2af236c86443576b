/** What was measured, where, when, and what was not. */
import type { Result } from "../result.ts";
import { duration, gibibytes, plural } from "./format.ts";
import { type Html, html } from "./html.ts";

export function head({ machine, started, rounds, quick }: Result): Html {
  return html`<header>
<h1>Container runtimes, side by side</h1>
<p class="lead">Speed and exposure on one machine, with the same work. ${day(started)}, ${plural(rounds, "round")}${quick && " (quick)"}, Linux ${machine.kernel}, ${plural(machine.processors, "processor")}.</p>
${(machine.loadBefore[0] ?? 0) > machine.processors / 2 && html`<p class="warning">The machine was busy when this began: a load of ${machine.loadBefore[0]?.toFixed(1)}. Ratios of short runs may be off.</p>`}
</header>`;
}

/** Such as the result has it, to the minute. */
const day = (started: string): string => started.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*Z$/, "$1 $2 UTC");

export function circumstances({ machine, started, seconds, rounds, quick, runtimes, notes }: Result): Html {
  const facts: readonly (readonly [string, string])[] = [
    ["Date", day(started)],
    ["Took", `${duration(seconds)}, ${plural(rounds, "round")}${quick ? ", quick" : ""}`],
    ["Kernel", `Linux ${machine.kernel}, ${machine.architecture}`],
    ["Processor", `${machine.processor}, ${machine.processors} of them`],
    ["Memory", gibibytes(machine.memory)],
    ["System", machine.system],
    ["Load before", load(machine.loadBefore)],
    ["Load after", load(machine.loadAfter)],
  ];
  const leftOut = runtimes.filter((runtime) => runtime.leftOut !== undefined);
  return html`<section id="machine" aria-labelledby="machine-h"><h2 id="machine-h">Machine and versions</h2>
<dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<h3>Runtimes</h3>
<dl class="facts">${runtimes.filter((runtime) => runtime.leftOut === undefined).map(({ name, version }) => html`<div><dt>${name}</dt><dd>${version ?? "tells no version"}</dd></div>`)}</dl>
<h3>Left out</h3>
${leftOut.length + notes.length === 0 ? html`<p>Nothing.</p>` : html`<ul class="left-out">${leftOut.map(({ name, leftOut: why }) => html`<li><b>${name}</b>: ${why}</li>`)}${notes.map((note) => html`<li>${note}</li>`)}</ul>`}
</section>`;
}

const load = (averages: readonly number[]): string => averages.map((average) => average.toFixed(2)).join(", ");
