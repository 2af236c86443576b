/** The report page of the bench in a real browser. The result that it shows is made up. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { madeUpResult } from "../../bench/fixture.ts";
import { reportHtml } from "../../bench/report/index.ts";
import { Chromium, type View } from "./chromium.ts";

let browser: Chromium;
let directory: string;
let url: string;

/** With a runtime of a user's whose name is an attack, and a longer one than any. */
function hostileResult() {
  const result = madeUpResult();
  for (const name of [`<script>document.title = "caught"</script>`, "a-runtime-with-a-very-long-name-".repeat(4)]) {
    result.runtimes.push({ name });
    for (const { samples } of result.measurements) samples[name] = { rounds: [{ round: 0, value: 100 }], failures: [{ round: 1, why: `${name} ended` }] };
    for (const { outcomes } of result.probes) outcomes[name] = { verdict: "leaks", detail: name };
  }
  return result;
}

beforeAll(async () => {
  browser = await Chromium.start();
  directory = mkdtempSync(join(tmpdir(), "bench-report-"));
  const file = join(directory, "report.html");
  url = pathToFileURL(file).href;
  writeFileSync(file, reportHtml(hostileResult()));
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  if (directory !== undefined) rmSync(directory, { recursive: true });
});

const DESK = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
const VIEWS: readonly (readonly [string, View])[] = [
  ["light", DESK],
  ["dark", { ...DESK, scheme: "dark" }],
  ["a phone, light", PHONE],
  ["a phone, dark", { ...PHONE, scheme: "dark" }],
];

describe.each(VIEWS)("%s", (_, view) => {
  beforeAll(() => browser.open(url, view));

  it("has its charts, of some size, with all that they draw in them", async () => {
    const charts = await browser.evaluate<{ width: number; height: number; outside: number }[]>(`[...document.querySelectorAll("figure svg")].map((svg) => {
      const box = svg.getBoundingClientRect();
      const marks = [...svg.querySelectorAll("rect, circle, line")].map((mark) => mark.getBoundingClientRect());
      return { width: box.width, height: box.height, outside: marks.filter(({ left, right }) => left < box.left - 6 || right > box.right + 6).length };
    })`);
    const { measurements, probes } = madeUpResult();
    // The three of density are one chart; that of a resident parent has nothing to be compared with.
    expect(charts).toHaveLength(measurements.length - 2 - 1 + probes.filter(({ area }) => area === "surface").length);
    for (const { width, height, outside } of charts) {
      expect(width).toBeGreaterThan(120);
      expect(height).toBeGreaterThan(100);
      expect(outside).toBe(0);
    }
    expect(await browser.evaluate<number>(`document.querySelectorAll("figure svg circle").length`)).toBeGreaterThan(500);
  });

  it("fetches the file alone, runs nothing and complains of nothing", async () => {
    const told = (method: string) => browser.events.filter((event) => event.method === method);
    const requests = told("Network.requestWillBeSent").map(({ params }) => params?.["request"]);
    expect(requests).toEqual([expect.objectContaining({ url })]);
    expect([...told("Runtime.consoleAPICalled"), ...told("Runtime.exceptionThrown"), ...told("Log.entryAdded")]).toEqual([]);
    expect(await browser.evaluate("[document.title, document.scripts.length]")).toEqual(["Container runtimes, side by side", 0]);
  });

  it("scrolls down alone", async () => {
    const [page, window] = await browser.evaluate<[number, number]>("[document.scrollingElement.scrollWidth, innerWidth]");
    expect(window).toBe(view.width);
    expect(page).toBeLessThanOrEqual(window);
  });

  it("can be read and told apart: contrast is AA", async () => {
    const { texts, marks, weak, ground } = await browser.evaluate<Contrasts>(CONTRASTS);
    expect(weak).toEqual([]);
    expect(texts).toBeGreaterThan(500);
    expect(marks).toBeGreaterThan(300);
    if (view.scheme === "dark") expect(ground).toBeLessThan(0.05);
    else expect(ground).toBeGreaterThan(0.9);
  });

  it("has its headings in order, and scopes at all heads of tables", async () => {
    const levels = await browser.evaluate<number[]>(`[...document.querySelectorAll("h1, h2, h3, h4")].map(({ tagName }) => Number(tagName[1]))`);
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    for (const [index, level] of levels.entries()) expect(level - (levels[index - 1] ?? 0)).toBeLessThanOrEqual(1);
    expect(await browser.evaluate<number>(`document.querySelectorAll("th:not([scope])").length`)).toBe(0);
  });

  it("has a target for each link", async () => {
    expect(await browser.evaluate<string[]>(`[...document.querySelectorAll("a")].map((a) => a.getAttribute("href")).filter((href) => document.getElementById(href.slice(1)) === null)`)).toEqual([]);
  });
});

describe("on demand", () => {
  it("tells what a probe does", async () => {
    await browser.open(url, PHONE);
    const ofProbe = `[...document.querySelectorAll(".matrix details")].find((each) => each.querySelector("summary").textContent === "bpf")`;
    const shown = () => browser.evaluate<boolean>(`${ofProbe}.querySelector("p").checkVisibility()`);
    expect(await shown()).toBe(false);
    await browser.evaluate(`${ofProbe}.querySelector("summary").click()`);
    expect(await shown()).toBe(true);
  });
});

describe("paper", () => {
  it.each(["light", "dark"] as const)("is A4, from a screen that is %s", async (scheme) => {
    await browser.open(url, { ...DESK, scheme });
    const pdf = (await browser.pdf()).toString("latin1");
    expect(pdf.startsWith("%PDF-")).toBe(true);
    // PDF 32000-1, 7.7.3.3: points; 210 x 297 mm.
    const sizes = [...pdf.matchAll(/\/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]/g)].map(([, width, height]) => [Math.round(Number(width)), Math.round(Number(height))]);
    expect(sizes.length).toBeGreaterThan(3);
    for (const size of sizes) expect(size).toEqual([595, 842]);
  });

  it.each(["light", "dark"] as const)("has room for everything, black on white, from a screen that is %s", async (scheme) => {
    // A4 less its margins, at 96 dots per inch.
    await browser.open(url, { width: 688, height: 1016, scheme, media: "print" });
    const wide = await browser.evaluate<string[]>(`[...document.querySelectorAll("table, figure, .answer")].filter((each) => each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.className)`);
    expect(wide).toEqual([]);
    const { weak, ground } = await browser.evaluate<Contrasts>(CONTRASTS);
    expect({ weak, ground }).toEqual({ weak: [], ground: 1 });
    expect(await browser.evaluate(`[...document.querySelectorAll(".matrix details p")].every((p) => p.getBoundingClientRect().height > 0)`)).toBe(true);
  });
});

interface Contrasts {
  readonly texts: number;
  readonly marks: number;
  /** What has too little. */
  readonly weak: readonly string[];
  /** The luminance of the page's ground. */
  readonly ground: number;
}

// Source: WCAG 2.2, 1.4.3 and 1.4.11, and "relative luminance". What has no ground of its own stands on that of the nearest around it that has; all of ours are opaque.
const CONTRASTS = `(() => {
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const groundOf = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if (backgroundColor !== "rgba(0, 0, 0, 0)") return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (colour, element) => {
    const [a, b] = [luminance(colour), luminance(groundOf(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const weak = new Set();
  const check = (element, colour, atLeast) => {
    const found = contrast(colour, element);
    if (!(found >= atLeast)) weak.add(element.tagName + "." + (element.getAttribute("class") ?? "") + " " + colour + " on " + groundOf(element) + ": " + found.toFixed(2));
  };
  const texts = [...document.querySelectorAll("body *")].filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "") && !["title", "desc"].includes(each.tagName));
  for (const text of texts) {
    const style = getComputedStyle(text);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    check(text, text.tagName === "text" ? style.fill : style.color, large ? 3 : 4.5);
  }
  const marks = [...document.querySelectorAll(".median, .whisker, .round, .line, .one, .point, .end, svg .bad, svg .leak, svg .unknown, svg .safe")];
  for (const mark of marks) {
    const style = getComputedStyle(mark);
    check(mark, mark.matches("line, .round") ? style.stroke : style.fill, 3);
  }
  return { texts: texts.length, marks: marks.length, weak: [...weak], ground: luminance(groundOf(document.body)) };
})()`;
