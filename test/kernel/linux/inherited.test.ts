import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runCase } from "../../support/forked.ts";

const script = fileURLToPath(new URL("scripts/inherited.ts", import.meta.url));
const run = (name: string) => runCase(script, name);

test("a forked child has Node's epoll, eventfds and io_uring rings until it drops them, and works without", () => {
  const result = run("drop") as { before: { kinds: string[]; rings: number }; kept: string[]; expected: string[]; rings: number; sum: number };
  expect(result.before.kinds).toEqual(expect.arrayContaining(["anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[io_uring]"]));
  expect(result.before.rings).toBeGreaterThan(0);
  expect(result.kept.map(Number).sort((a, b) => a - b)).toEqual(result.expected.map(Number));
  expect(result.rings).toBe(0);
  expect(result.sum).toBe(500_000);
});

test("nothing but standard streams is left where nothing is kept", () => {
  expect(run("drop all")).toEqual(["0", "1", "2"]);
});

test("standard streams and repetitions in the list do no harm", () => {
  expect(run("standard and doubled")).toBe(4);
});

test("the parent may look for the rings on behalf of its children", () => {
  const { found, left } = run("parent's list") as { found: number; left: number };
  expect(found).toBeGreaterThan(0);
  expect(left).toBe(0);
});

test("a dropped descriptor is closed", () => {
  expect(run("closed for use")).toEqual({ read: "EBADF", nodeOpens: true });
});
