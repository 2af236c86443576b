// No inner test may be lost or look green on the way out.
import { expect, test } from "vitest";

import { judge } from "./inside.ts";

const file = "test/kernel/a.test.ts";
const run = { files: [file], seconds: 1 };
const good = { status: 0, stdout: "out", stderr: "err" };

function inner(fullName: string, status: string, ...failureMessages: string[]) {
  return { fullName, status, failureMessages };
}

function report(status: string, ...assertionResults: ReturnType<typeof inner>[]) {
  return { testResults: [{ name: `/repo/${file}`, status, message: "", assertionResults }] };
}

/** The verdicts that fail, as "name: reason". */
function failures(...args: Parameters<typeof judge>): string[] {
  return judge(...args).flatMap(({ name, failure }) => (failure === undefined ? [] : [`${name}: ${failure}`]));
}

test("every inner test is one verdict", () => {
  const names = judge(run, good, report("passed", inner("x", "passed"), inner("y", "passed"))).map(({ name }) => name);
  expect(names).toEqual(["runs", "x", "y", "ends well"]);
  expect(failures(run, good, report("passed", inner("x", "passed")))).toEqual([]);
});

test("a failure keeps its message", () => {
  const failed = report("failed", inner("x", "failed", "1 is not 2"), inner("y", "passed"));
  expect(failures(run, { ...good, status: 1 }, failed)).toEqual(["x: 1 is not 2"]);
});

test.for(["skipped", "pending", "todo", "disabled"])("a test that is %s fails unless a reason is listed", (status) => {
  const skipped = report("passed", inner("x", status), inner("y", "passed"));
  expect(failures(run, good, skipped)).toEqual([`x: did not run inside (${status}), and no reason is listed`]);
  expect(failures({ ...run, skips: { x: "why" } }, good, skipped)).toEqual([]);
});

test("a listed skip that was not skipped fails", () => {
  const stale = failures({ ...run, skips: { x: "why" } }, good, report("passed", inner("x", "passed")));
  expect(stale).toEqual(["x: listed as skipped (why), but was not skipped"]);
});

test("a file that is missing, did not load or has no test fails", () => {
  expect(failures(run, good, { testResults: [] })).toEqual(["runs: not in the report: no such file in this lane"]);
  expect(failures(run, good, report("passed"))).toEqual(["runs: it has no test"]);
  const broken = { testResults: [{ name: `/repo/${file}`, status: "failed", message: "SyntaxError", assertionResults: [] }] };
  expect(failures(run, { ...good, status: 1 }, broken)).toEqual(["runs: SyntaxError"]);
  expect(failures(run, { ...good, status: 1 }, report("failed", inner("x", "passed")))).toHaveLength(1);
});

test("no report, and an exit status that no failure explains, fail with the output", () => {
  expect(failures(run, { ...good, status: 124 }, undefined)).toEqual(["writes a report: exit status 124\nout\nerr"]);
  const unexplained = failures(run, { ...good, status: 1 }, report("passed", inner("x", "passed")));
  expect(unexplained).toEqual(["ends well: exit status 1\nout\nerr"]);
});
