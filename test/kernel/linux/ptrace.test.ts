import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runCase } from "../../support/forked.ts";

const script = fileURLToPath(new URL("scripts/ptrace.ts", import.meta.url));
const run = (name: string) => runCase(script, name);

test("the filters of a running process are read in the order they were loaded, and it goes on", () => {
  const { read, loaded, exit } = run("filters") as { read: string[]; loaded: string[]; exit: number };
  expect(loaded[0]).toMatch(/^2000000000000000/);
  expect(read).toEqual(loaded);
  expect(exit).toBe(3);
});

test("a process without filters has an empty list", () => {
  expect(run("none")).toEqual({ read: [], exit: 3 });
});

test("the flags of a filter are told, and none past the last", () => {
  expect(run("metadata")).toEqual({ flags: [2, null], past: null, exit: 3 });
});

test("a signal sent meanwhile reaches the process afterwards", () => {
  expect(run("held signal")).toEqual({ exit: -15 });
});

test("a process that is gone, traced already or somebody else's is refused", () => {
  expect(run("refusals")).toEqual({ twice: "EPERM", noSuch: "ESRCH", foreign: "EPERM", exit: 3 });
});

test("a caller that is itself under seccomp reads no filters", () => {
  expect(run("under seccomp")).toEqual({ read: "EACCES", exit: 3 });
});
