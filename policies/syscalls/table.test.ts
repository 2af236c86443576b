import { syscallTable } from "seccomp-bpf-ts";
import { describe, expect, test } from "vitest";
import { balanced, handlersOf, trappedSyscalls } from "./policy.ts";
import { outcomesOf } from "./row.ts";
import { areas, missingNames, rows } from "./table.ts";

const byName = new Map(rows.map((row) => [row.name, row]));

describe("the system call table", () => {
  test("has exactly one row for every number that has a name", () => {
    expect(missingNames()).toEqual([]);
    expect(rows.map(({ nr }) => nr)).toEqual([...new Set(syscallTable("x86_64").values())]);
  });

  test("names the calls as the kernel does", () => {
    for (const { nr, name } of rows) expect(syscallTable("x86_64").get(name)).toBe(nr);
  });

  test("gives each a reason", () => {
    for (const { name, reason } of rows) expect(reason.length, name).toBeGreaterThan(10);
  });

  test("has no case that decides nothing", () => {
    for (const { name, cases } of rows) for (const { anyOf, what } of cases) expect(anyOf.length, `${name}: ${what}`).toBeGreaterThan(0);
  });

  test("calls another form only what leads to a native call that is no form", () => {
    for (const { name, formOf } of rows) {
      if (formOf === undefined) continue;
      const whole = byName.get(formOf);
      expect(whole?.class, name).toBe("native");
      expect(whole?.formOf, `${name}: ${formOf} is a form itself`).toBeUndefined();
    }
  });

  test("continues only what arguments by value decide", () => {
    const continuing = rows.filter((row) => outcomesOf(row).some(({ kind }) => kind === "continued"));
    expect(continuing.map(({ name }) => name)).toEqual(["ptrace"]);
  });

  test("has every area under a title of its own", () => {
    expect(new Set(areas.map(({ title }) => title)).size).toBe(areas.length);
  });
});

test("the sentry is told exactly what traps", () => {
  expect([...handlersOf(balanced)].sort()).toEqual([...trappedSyscalls]);
});
