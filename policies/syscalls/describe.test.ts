import { expect, test } from "vitest";
import { countsOf, describePolicy, toMarkdown } from "./describe.ts";
import { balanced } from "./policy.ts";

test("counts add up to the table", () => {
  const { native, continued, emulated, denied } = countsOf(balanced);
  expect(native + continued + emulated + denied).toBe(balanced.rows.length);
});

test("the page has a line for every call", () => {
  const lines = toMarkdown(balanced).split("\n").filter((line) => /^\| \d+ \|/.test(line));
  expect(lines.map((line) => Number(line.split("|")[1])).sort((a, b) => a - b)).toEqual(balanced.rows.map(({ nr }) => nr));
});

test("the description is plain data, and tells cases and errnos", () => {
  const { syscalls } = JSON.parse(JSON.stringify(describePolicy(balanced)));
  expect(syscalls.find(({ name }: { name: string }) => name === "madvise")).toEqual({
    nr: 28,
    name: "madvise",
    area: "Memory of the process itself",
    class: "native",
    cases: [{ arguments: "MADV_MERGEABLE", outcome: "EINVAL" }],
    otherwise: "native",
    reason: expect.stringContaining("KSM"),
  });
  expect(syscalls.find(({ name }: { name: string }) => name === "dup2").formOf).toBe("dup3");
});
