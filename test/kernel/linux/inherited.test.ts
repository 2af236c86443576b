import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runCase } from "../../support/forked.ts";

const script = fileURLToPath(new URL("scripts/inherited.ts", import.meta.url));
const run = (name: string) => runCase(script, name);

test("a forked child has Node's epoll, eventfds and io_uring rings until it drops them, and works without", () => {
  const result = run("drop") as { before: { kinds: string[]; rings: number }; kept: string[]; expected: string[]; rings: number; sum: number };
  expect(result.before.kinds).toEqual(expect.arrayContaining(["anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[io_uring]"]));
  expect(result.before.rings).toBeGreaterThan(0);
  expect(result.kept).toEqual(result.expected);
  expect(result.rings).toBe(0);
  expect(result.sum).toBe(2_000_000);
});

test("nothing but standard streams and private eventfds, closed on exec, is left where nothing is kept", () => {
  const result = run("drop all") as { unusual: string[]; closeOnExec: boolean; shared: string[]; before: number; after: number };
  expect(result).toMatchObject({ unusual: [], closeOnExec: true, shared: [], after: result.before });
  expect(result.before).toBeGreaterThan(0);
});

test("standard streams and repetitions in the list do no harm", () => {
  expect(run("standard and doubled")).toEqual({ unusual: 1, standard: true });
});

test("the parent may look for the rings on behalf of its children", () => {
  const { found, left, descriptors } = run("parent's list") as { found: number; left: number; descriptors: string[] };
  expect(found).toBeGreaterThan(0);
  expect({ left, descriptors }).toEqual({ left: 0, descriptors: [] });
});

test("a dropped descriptor is closed", () => {
  expect(run("closed for use")).toEqual({ read: "EBADF", nodeOpens: true });
});
