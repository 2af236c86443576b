import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runCase } from "../../support/forked.ts";

const script = fileURLToPath(new URL("scripts/identity.ts", import.meta.url));
const run = (name: string) => runCase(script, name);
const NONE = "0000000000000000";

test("ids and groups are set in all their kinds, and root is not had back", () => {
  expect(run("ids")).toEqual({
    uid: "1000 1000 1000 1000", gid: "1001 1001 1001 1001", groups: "5 7 4000000000", effective: [1000, 1001],
    back: "EPERM", groupsAgain: "EPERM",
  });
});

test("an empty list leaves no supplementary group", () => {
  expect(run("no groups")).toBe("");
});

test("groups cannot be set in a user namespace without a mapping", () => {
  expect(run("setgroups denied")).toBe("EPERM");
});

test("capability sets are what /proc tells, beyond the first 32 too, and do not grow", () => {
  expect(run("capabilities")).toEqual({
    full: true, kept: true, proc: { inheritable: true, permitted: true, effective: true }, read: true, grow: "EPERM",
  });
});

test("an ambient capability needs to be inheritable first", () => {
  expect(run("ambient")).toEqual({ without: -1, raised: 0, ambient: "1024", cleared: "0" });
});

test("a capability leaves the bounding set; one that does not exist is told", () => {
  expect(run("bounding")).toEqual({ dropped: [true, false], has: "0", noNewPrivs: "1" });
});

test("a new session keyring has its name, and lets its owner search after that was allowed", () => {
  const { before, after, ...rest } = run("keyring") as { before: string; after: string };
  expect(rest).toEqual({ positive: true, another: true });
  expect(Number.parseInt(after, 16)).toBe(Number.parseInt(before, 16) | 0x00080000);
  expect(after).not.toBe(before);
});

test("the signal mask is replaced, told, and holds signals back", () => {
  expect(run("mask")).toEqual({
    before: "0", blocked: "8000000000000200", pending: "0000000000000200", previous: (2n ** 63n + 2n ** 9n).toString(), all: "fffffffffffbfeff",
  });
});

test("a pending signal acts when it is unblocked", () => {
  expect(run("unblocked")).toBe(128 + 10);
});

test("in a child every signal has its default action, Node's ignored SIGPIPE included", () => {
  expect(run("actions")).toEqual({ inChild: { ignored: NONE, caught: NONE }, ignored: NONE, caught: NONE });
});
