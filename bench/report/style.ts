/** The page's style. Colours have a contrast of at least 4.5 as text, and 3 as drawings, on their ground, light and dark (bench-report.test.ts measures it). */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #fbfbfa; --card: #ffffff; --ink: #1b1f24; --soft: #565e69; --line: #dcdfe3; --strong: #6d7580; --link: #1d4ed8;
  --c0: #2563eb; --c1: #b45309; --c2: #15803d; --c3: #be185d; --c4: #7c3aed; --c5: #0f766e; --c6: #b91c1c; --c7: #4d5b2a; --native: #6b7280;
  --safe: #166534; --safe-ground: #e7f5ec; --leak: #854d0e; --leak-ground: #fdf3d3; --bad: #a01818; --bad-ground: #fdeaea; --unknown: #4b5563; --unknown-ground: #eef0f2;
  --safe-bar: #4a9a6a; --leak-bar: #b7791f; --bad-bar: #c53030; --unknown-bar: #868e99;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ground: #101418; --card: #171c22; --ink: #e8ebee; --soft: #a5aeb9; --line: #2c343d; --strong: #87919d; --link: #8db4ff;
    --c0: #78a6ff; --c1: #f0a04b; --c2: #5fc98a; --c3: #f283b3; --c4: #b79bff; --c5: #4fcabd; --c6: #ff8a80; --c7: #b5c47a; --native: #98a2ae;
    --safe: #8fdcaa; --safe-ground: #16301f; --leak: #f0cd78; --leak-ground: #372c0f; --bad: #ffaba3; --bad-ground: #431a1a; --unknown: #b7bfc9; --unknown-ground: #262d35;
    --safe-bar: #4a9a6a; --leak-bar: #c9922f; --bad-bar: #e5625b; --unknown-bar: #6f7884;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Liberation Sans", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
main { max-width: 1120px; margin: 0 auto; padding: 3.5rem 2rem 6rem; }
h1 { font-size: 2.3rem; line-height: 1.15; letter-spacing: -0.02em; margin: 0 0 0.75rem; }
h2 { font-size: 1.5rem; line-height: 1.25; letter-spacing: -0.01em; margin: 0 0 0.75rem; }
h3 { font-size: 1.15rem; margin: 0 0 0.75rem; }
p { margin: 0 0 1rem; max-width: 44rem; }
.warning { margin: 1rem 0 0; color: var(--leak); }
.lead { color: var(--soft); font-size: 1.1rem; margin: 0; }
small { font-size: 0.8125rem; color: var(--soft); }
a { color: var(--link); }
ul, ol { margin: 0; padding: 0; list-style: none; }
section { margin-top: 3.5rem; }
section section { margin-top: 3rem; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
svg { display: block; overflow: visible; }

.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1.5rem; margin-top: 2.5rem; }
.answer { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.75rem; }
.answer h2 { margin-bottom: 0.35rem; }
.answer > p { min-height: 3.1em; }
.ranking li { display: grid; grid-template-columns: 11.5rem minmax(0, 1fr) 4.5rem; align-items: center; column-gap: 0.75rem; padding: 0.28rem 0; }
.ranking .who { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ranking .what { text-align: right; font-weight: 600; white-space: nowrap; }
.ranking .of { font-weight: 400; color: var(--soft); }
.ranking small { grid-column: 2 / -1; margin-top: -0.2rem; line-height: 1.3; }
.answer .key { min-height: 0; margin: 1.25rem 0 0; font-size: 0.8125rem; color: var(--soft); }
.swatch { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 2px; background: var(--s); }
.swatch.bad, rect.bad { --s: var(--bad-bar); } .swatch.leak, rect.leak { --s: var(--leak-bar); } .swatch.unknown, rect.unknown { --s: var(--unknown-bar); } .swatch.safe, rect.safe { --s: var(--safe-bar); }
rect.bad, rect.leak, rect.unknown, rect.safe { fill: var(--s); stroke: var(--card); stroke-width: 1; }

nav { margin-top: 3rem; padding: 0.9rem 0; border-block: 1px solid var(--line); }
nav ul { display: flex; flex-wrap: wrap; gap: 0.4rem 1.4rem; }
nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }

.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem 1.5rem; margin: 0 0 2rem; }
.facts dt { font-size: 0.8125rem; color: var(--soft); } .facts dd { margin: 0; }
.left-out { max-width: 44rem; list-style: disc; padding-left: 1.2rem; }
.left-out li { margin: 0.3rem 0; }

.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr)); gap: 2rem 3rem; margin: 1.5rem 0 2rem; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figcaption { margin-bottom: 0.4rem; }
.lanes { display: grid; grid-template-columns: 10rem minmax(0, 1fr) 4rem; column-gap: 0.75rem; }
.lanes li { height: 24px; line-height: 24px; font-size: 0.875rem; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.lane-values { text-align: right; font-weight: 600; } .lane-values em { font-weight: 400; font-style: normal; }
.grid { stroke: var(--line); } .one { stroke: var(--strong); stroke-width: 1.5; }
.tick { fill: var(--soft); font-size: 11px; }
.c-native { --c: var(--native); } .c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); } .c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
.bar { fill: var(--c); fill-opacity: 0.3; } .bar.solid { fill-opacity: 0.75; }
.median { stroke: var(--c); stroke-width: 3; } .whisker { stroke: var(--ink); stroke-width: 1; }
.round { fill: var(--card); stroke: var(--c); stroke-width: 1.3; } .end { fill: var(--c); }
.failures { margin-top: 0.35rem; font-size: 0.8125rem; color: var(--soft); } .failures b { color: var(--ink); }
.failed, .failures b { color: var(--bad); }
.lines .plot { display: grid; grid-template-columns: 2.6rem minmax(0, 1fr) 11rem; column-gap: 0.6rem; }
.line-ticks, .line-names { position: relative; }
.line-ticks li { position: absolute; right: 0; transform: translateY(-50%); font-size: 11px; color: var(--soft); }
.line-names li { position: absolute; left: 0; right: 0; height: 17px; line-height: 17px; font-size: 0.8125rem; color: var(--c); font-weight: 600; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
.line { stroke: var(--c); stroke-width: 2.5; stroke-linecap: round; } .point { fill: var(--c); stroke: var(--ground); stroke-width: 1.5; }

.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; overflow-wrap: normal; }
caption { text-align: left; padding: 0.75rem 0.9rem 0; color: var(--soft); font-size: 0.8125rem; }
th, td { padding: 0.55rem 0.9rem; border-bottom: 1px solid var(--line); vertical-align: top; text-align: left; }
tbody tr:last-child > * { border-bottom: 0; }
thead th { vertical-align: bottom; font-size: 0.8125rem; color: var(--soft); font-weight: 600; }
tbody th { font-weight: 500; min-width: 9rem; }
th:first-child { position: sticky; left: 0; background: var(--card); }
td small { display: block; line-height: 1.35; }
.values td, .values thead th:nth-child(n + 3), .summary td, .summary thead th:nth-child(n + 2) { text-align: right; }
.values td { white-space: nowrap; } .values td.unit, .values thead th:nth-child(2) { text-align: left; color: var(--soft); }
.values .why { white-space: normal; overflow-wrap: anywhere; min-width: 10rem; max-width: 15rem; margin-left: auto; color: var(--bad); text-align: left; }
.none { color: var(--soft); }
.better { background: var(--safe-ground); } .dear { background: var(--leak-ground); } .dearest { background: var(--bad-ground); font-weight: 600; }
.better small, .dear small, .dearest small { color: var(--ink); font-weight: 400; }
.matrix td { min-width: 8rem; } .matrix td small { overflow-wrap: anywhere; }
.matrix tbody th { min-width: 11rem; max-width: 17rem; }
.families { display: block; color: var(--soft); font-weight: 400; line-height: 1.4; margin-top: 0.15rem; }
.whole { white-space: nowrap; }
.pill { display: inline-block; padding: 0 0.55em; border-radius: 99px; border: 1px solid currentColor; font-size: 0.8125rem; line-height: 1.5; white-space: nowrap; }
.pill.safe { color: var(--safe); background: var(--safe-ground); } .pill.leak { color: var(--leak); background: var(--leak-ground); }
.pill.bad { color: var(--bad); background: var(--bad-ground); font-weight: 600; } .pill.unknown { color: var(--unknown); background: var(--unknown-ground); }
.legend { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); gap: 0.5rem 1.5rem; margin: 0; font-size: 0.875rem; }
.legend div { display: grid; grid-template-columns: 6.5rem 1fr; } .legend dd { margin: 0; color: var(--soft); }
summary { cursor: pointer; } details p { margin: 0.35rem 0; font-weight: 400; color: var(--soft); font-size: 0.8125rem; line-height: 1.4; }
.about { margin-top: 0.35rem; font-size: 0.8125rem; color: var(--soft); } .about b { color: var(--ink); } .about li { margin: 0.2rem 0; }

@media (max-width: 820px) {
  main { padding: 2rem 1rem 4rem; }
  h1 { font-size: 1.8rem; }
  .answer { padding: 1.25rem; } .answer > p { min-height: 0; }
}
@media (max-width: 480px) {
  .ranking li { grid-template-columns: minmax(0, 1fr) 4.5rem; padding: 0.4rem 0; } .ranking svg { grid-area: 2 / 1 / 3 / 3; } .ranking small { grid-column: 1 / -1; margin-top: 0; }
  .lanes { grid-template-columns: 8.6rem minmax(0, 1fr) 3.3rem; column-gap: 0.5rem; } .facts { grid-template-columns: 1fr; gap: 0.5rem; } .facts div { display: grid; grid-template-columns: 7rem minmax(0, 1fr); column-gap: 0.75rem; align-items: baseline; }
  .lanes li { font-size: 0.75rem; }
  .lines .plot { grid-template-columns: 2.2rem minmax(0, 1fr) 8.6rem; column-gap: 0.4rem; }
  th, td { padding: 0.5rem 0.65rem; }
  tbody th, .matrix tbody th { min-width: 7.5rem; max-width: 9.5rem; }
}
@page { size: A4; margin: 14mm; }
@media print {
  :root { --ground: #fff; --card: #fff; --ink: #000; --soft: #333; --line: #bbb; }
  html { font-size: 9pt; } body { font-size: 1rem; } main { max-width: none; padding: 0; }
  nav { display: none; } section { margin-top: 1.6rem; } h2, h3, figcaption { break-after: avoid; }
  .answer, tr { break-inside: avoid; } .answer { border-radius: 0; padding: 1rem; } .answers { grid-template-columns: repeat(2, minmax(0, 1fr)); } .swatch { print-color-adjust: exact; }
  .scroll { overflow: visible; border-radius: 0; } .scroll:has(.values) { break-inside: avoid; } h2 + p, h3 + p { break-after: avoid; } thead { display: table-header-group; }
  table { font-size: 7pt; table-layout: fixed; overflow-wrap: anywhere; } td small, th small, .families, .pill, thead th, caption { font-size: 6.5pt; }
  th, td, tbody th, .matrix td, .matrix tbody th { min-width: 0; max-width: none; padding: 2pt 3pt; line-height: 1.35; } th:first-child { position: static; width: 18%; } .matrix th:first-child { width: 26%; } .pill { line-height: 1.3; padding: 0 0.4em; }
  .values td.unit, .values thead th:nth-child(2) { width: 7%; } .values td { white-space: normal; } .values .why { min-width: 0; }
  .charts { grid-template-columns: 1fr 1fr; gap: 1rem 1.2rem; }
  .lanes { grid-template-columns: 10.5rem minmax(0, 1fr) 3.5rem; } .lanes li { font-size: 8pt; }
  details::details-content { content-visibility: visible; display: block; block-size: auto; }
  summary { list-style: none; }
  .bar, .bar.solid { fill: #ccc; fill-opacity: 1; stroke: #000; stroke-width: 0.5; }
}
`;
