import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runCase } from "../../support/forked.ts";
import { workDir } from "../../support/paths.ts";

const script = fileURLToPath(new URL("scripts/waiting.ts", import.meta.url));
const run = (name: string, ...args: string[]) => runCase(script, name, ...args);

test("poll tells for each descriptor what happened, and for a closed one that it is none", () => {
  const { empty, full, expected, end } = run("poll") as Record<string, unknown>;
  expect({ empty, full }).toEqual(expected);
  expect(end).toBe(true);
});

test("poll ends after its time-out in milliseconds", () => {
  expect(run("poll time-out")).toEqual({ none: [], exact: true });
});

test("a pidfd tells the end of a child, and reaps it once", () => {
  expect(run("pidfd")).toEqual({
    early: { ended: false, status: null },
    late: { ended: true, status: { kind: "exited", code: 7 } },
    again: null,
  });
});

test("a pidfd tells the signal that ended a child", () => {
  expect(run("pidfd signaled")).toEqual({ ended: true, status: { kind: "signaled", signal: 9 } });
});

test("a process that is no child of ours can be waited for, not reaped", () => {
  expect(run("pidfd of a stranger")).toEqual({ ended: false, status: null });
});

test("a descriptor of another process is copied", () => {
  expect(run("pidfd_getfd")).toEqual({ text: "through the child", missing: "EBADF", distinct: true });
});

test("blocked signals are read with sender and status", () => {
  expect(run("signalfd")).toEqual({
    none: null,
    ready: true,
    chld: { signal: 17, child: true, status: 9, code: 1 },
    term: { signal: 15, self: true, uid: 0 },
    after: null,
  });
});

test("an eventfd adds up, refuses to overflow and is empty when taken", () => {
  expect(run("eventfd")).toEqual({ sum: "42", full: "EAGAIN", most: "18446744073709551614", none: "0", idle: [0] });
});

test("file locks exclude other descriptions, not duplicates of the own", () => {
  expect(run("flock", join(workDir, "lock"))).toEqual({
    shared: true,
    sharedBesideShared: true,
    exclusiveBesideShared: false,
    upgraded: true,
    sharedBesideExclusive: false,
    sameDescription: true,
    afterUnlock: true,
  });
});

test("a lock is waited for when asked, and ends with the process that held it", () => {
  expect(run("flock waits", join(workDir, "lock-wait"))).toEqual({ refused: false, waited: true });
});
