/**
 * A result as a page: one file without anything to fetch and without a script, for a screen that is light or dark, wide or narrow, and for paper.
 * All that comes from the result is escaped (html.ts).
 */
import type { Result } from "../result.ts";
import { DENSITY, suitesOf } from "./costs.ts";
import { densitySection } from "./density.ts";
import { circumstances, head } from "./head.ts";
import { Html, html } from "./html.ts";
import { shownRuntimes } from "./names.ts";
import { overview } from "./overview.ts";
import { securitySection } from "./security.ts";
import { anchorOf, suiteSection, suiteTitle } from "./speed.ts";
import { STYLE } from "./style.ts";

/** The result is to have been checked by `ResultSchema`. */
export function reportHtml(result: Result): string {
  const runtimes = shownRuntimes(result);
  const suites = suitesOf(result);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Container runtimes, side by side</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<main>
${head(result)}
${overview(result, runtimes)}
${contents(result, suites)}
${circumstances(result)}
${suites.length > 0 && html`<section id="speed" aria-labelledby="speed-h"><h2 id="speed-h">Speed</h2>
<p>A bar goes from the line, which is what the others are compared with, to the median; right of the line is dearer, whatever the unit, and the axis is logarithmic. Dots are rounds, the whisker is the middle half of them. Rounds of all runtimes were interleaved, and each is compared with its neighbour of the same round.</p>
${suites.map((suite) => (suite === DENSITY ? densitySection(result, runtimes) : suiteSection(suite, result, runtimes)))}</section>`}
${result.probes.length > 0 && html`<section id="security" aria-labelledby="security-h"><h2 id="security-h">Security</h2>
<p>The same program in every runtime. Nothing in it harms the host.</p>
${securitySection(result, runtimes)}</section>`}
</main>
</body>
</html>
`.text;
}

function contents({ probes }: Result, suites: readonly string[]): Html {
  const areas = [["surface", "Surface"], ["escapes", "Ways out"], ["leaks", "Leaks"], ["resources", "Resource attacks"]] as const;
  const links = [
    ["machine", "Machine and left out"],
    ...suites.map((suite) => [anchorOf(suite), suiteTitle(suite)] as const),
    ...areas.filter(([area]) => probes.some((probe) => probe.area === area)),
    ...(probes.some(({ families = [] }) => families.length > 0) ? [["families", "Published escapes"] as const] : []),
  ];
  return html`<nav aria-label="Contents"><ul>${links.map(([anchor, title]) => html`<li><a href="#${anchor ?? ""}">${title}</a></li>`)}</ul></nav>`;
}
