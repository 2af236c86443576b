import { beforeAll, describe, expect, it } from "vitest";
import { madeUpResult } from "../fixture.ts";
import type { Result } from "../result.ts";
import { reportHtml } from "./index.ts";

/** The cells of the row that begins with `name`, as text. */
function rowOf(page: string, name: string): string[] {
  const row = page.split("<tr>").find((each) => each.startsWith(`<th scope="row">${name}<`));
  return [...(row ?? "").matchAll(/<td[^>]*>(.*?)<\/td>/gs)].map(([, cell = ""]) => cell.replaceAll(/<[^>]+>/g, " ").replaceAll(/\s+/g, " ").trim());
}

describe("a report", () => {
  let page: string;
  beforeAll(() => {
    page = reportHtml(madeUpResult());
  });

  it("has every suite, runtime, measurement and probe in it", () => {
    const { measurements, probes, runtimes } = madeUpResult();
    for (const { name } of [...measurements, ...probes, ...runtimes]) expect(page).toContain(name);
    for (const { about, families = [] } of probes) for (const text of [about, ...families]) expect(page).toContain(text.replaceAll("'", "&#39;"));
  });

  it("tells what was left out and why", () => {
    expect(page).toContain("<b>kata</b>: containerd-shim-kata-v2 is not on PATH");
    expect(page).toContain("pip install left out: no index can be reached");
  });

  it("warns of a machine that was busy", () => {
    const result = madeUpResult();
    expect(page).not.toContain("was busy");
    result.machine.loadBefore = [13.2, 4, 1];
    expect(reportHtml(result)).toContain("was busy when this began: a load of 13.2.");
  });

  it("has the reason in the cell of what failed", () => {
    // native, runc, crun, runsc-systrap, ... after the unit
    expect(rowOf(page, "vfork storm")[4]).toBe("timed out after 60 s (5 of 5 rounds)");
    expect(rowOf(page, "npm install")[5]).toContain("EACCES: permission denied, mkdir &#39;/root/.npm&#39;");
  });

  it("shows the value and the reason where some rounds failed", () => {
    const result = madeUpResult();
    const samples = result.measurements.find(({ name }) => name === "stat")?.samples["crun"];
    samples?.rounds.pop();
    samples?.failures.push({ round: 4, why: "exit code 9: killed" });
    expect(rowOf(reportHtml(result), "stat")[3]).toMatch(/^\d+ .*exit code 9: killed \(1 of 5 rounds\)$/);
  });

  it("has medians with the middle half of the rounds", () => {
    expect(rowOf(page, "tree walk").slice(0, 2)).toEqual(["ms", "11 10.7&ndash;11.4"]);
  });

  it("says what each verdict rests on", () => {
    expect(page).toMatch(/<td><span class="pill safe"><span aria-hidden="true">○<\/span> blocked<\/span><small>ENOSYS<\/small>/);
    expect(page).toMatch(/<span class="pill bad"><span aria-hidden="true">●<\/span> reached<\/span>/);
  });

  it("gives a family the worst verdict of its probes", () => {
    // CVE-2022-0185: user namespaces are blocked under runc, nftables are not.
    const row = page.split("<tr>").find((each) => each.includes('<span class="whole">CVE-2022-0185</span><small'));
    expect([...(row ?? "").matchAll(/(reached|blocked|emulated)<\/span>/g)].map(([, verdict]) => verdict)).toEqual(["reached", "reached", "reached", "emulated", "reached", "reached", "blocked"]);
  });

  it("gives no mark, and no column, to a runtime on which nothing was tried", () => {
    const result = madeUpResult();
    for (const { outcomes } of result.probes) delete outcomes["native"];
    const without = reportHtml(result);
    expect(rowOf(page, "native").slice(-2)).toEqual(["362", "9"]);
    expect(rowOf(without, "native").slice(-2)).toEqual(["&ndash;", "&ndash;"]);
    expect(without.split('class="matrix"').slice(1).join("")).not.toContain('<span class="name">native</span>');
    expect(page.split('class="matrix"').slice(1).join("")).toContain('<span class="name">native</span>');
  });

  it("names all that share a place", () => {
    expect(page).toContain("<b>runsc-systrap</b> and <b>tssandbox-sentry</b> least: 0 of 11 probes got through; <b>bwrap</b> most: 6.");
  });

  it("fetches nothing and runs nothing", () => {
    expect(page).not.toMatch(/<script|<link|<img|<iframe|url\(|@import|https?:/i);
  });

  it("names every drawing", () => {
    for (const [svg] of page.matchAll(/<svg.*?<\/svg>/gs)) expect(svg).toMatch(/aria-hidden="true"|role="img".*<title>.+<\/title><desc>.+<\/desc>/s);
  });

  it("has no number that is none", () => {
    expect(page).not.toMatch(/NaN|Infinity|undefined|\[object/);
  });
});

describe("what others wrote", () => {
  const HOSTILE = `<script>alert("1")</script>'&`;
  const ESCAPED = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;";

  /** Every text of the result, keys included. */
  function poisoned(): Result {
    const renamed = (record: Record<string, unknown>) => Object.fromEntries(Object.entries(record).map(([key, value]) => [key === "crun" ? HOSTILE : key, value]));
    const result = madeUpResult();
    return {
      ...result,
      started: HOSTILE,
      machine: { ...result.machine, kernel: HOSTILE, architecture: HOSTILE, processor: HOSTILE, system: HOSTILE },
      runtimes: [...result.runtimes.map((runtime) => (runtime.name === "crun" ? { name: HOSTILE, version: HOSTILE } : runtime)), { name: HOSTILE, leftOut: HOSTILE }],
      measurements: result.measurements.map((measurement, index) => ({
        ...measurement,
        suite: index === 0 ? HOSTILE : measurement.suite,
        name: `${HOSTILE} ${index}`,
        samples: { ...renamed(measurement.samples), runc: { rounds: [], failures: [{ round: 0, why: HOSTILE }] } } as Result["measurements"][number]["samples"],
      })),
      probes: result.probes.map((probe) => ({
        ...probe, name: HOSTILE, about: HOSTILE, unit: HOSTILE, families: [HOSTILE],
        outcomes: { ...probe.outcomes, [HOSTILE]: { verdict: "leaks", detail: HOSTILE, value: 1 }, runc: { verdict: "leaks", detail: HOSTILE.repeat(4) } },
      })),
      notes: [HOSTILE],
    };
  }

  it("is text, wherever it stands", () => {
    const page = reportHtml(poisoned());
    expect(page).not.toContain("<script");
    expect(page.split(ESCAPED).length).toBeGreaterThan(100);
    // Only in attributes and texts: with what is escaped taken away, no trace is left.
    expect(page.replaceAll(ESCAPED, "")).not.toContain("alert(");
  });
});

describe("a result that is nearly empty", () => {
  it.each<[string, Partial<Result>]>([
    ["no probes", { probes: [] }],
    ["no measurements", { measurements: [] }],
    ["nothing at all", { probes: [], measurements: [], runtimes: [], notes: [] }],
    ["native alone", { measurements: [{ suite: "start", name: "x", unit: "ms", samples: { native: { rounds: [{ round: 0, value: 2 }], failures: [] } } }], probes: [] }],
    ["neither runc nor native", { measurements: [{ suite: "start", name: "x", unit: "ms", samples: { crun: { rounds: [{ round: 0, value: 2 }], failures: [] } } }], probes: [] }],
    ["failures alone", { measurements: [{ suite: "start", name: "x", unit: "ms", samples: { runc: { rounds: [], failures: [{ round: 0, why: "no" }] } } }], probes: [] }],
    ["a value of zero", { measurements: [{ suite: "density", name: "n 1", unit: "MiB", samples: { runc: { rounds: [{ round: 0, value: 0 }], failures: [] } } }, { suite: "density", name: "n 2", unit: "MiB", samples: { runc: { rounds: [{ round: 0, value: 0 }], failures: [] } } }], probes: [] }],
  ])("is a page: %s", (_, part) => {
    const page = reportHtml({ ...madeUpResult(), ...part });
    expect(page).toContain("</html>");
    expect(page).not.toMatch(/NaN|Infinity|undefined|\[object/);
  });
});
