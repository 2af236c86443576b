import { expect, test } from "vitest";
import { parseSubordinate, setAside } from "./rootless-ids.ts";

test("the two last ids of the last row are set aside, for sentry and gofer", () => {
  const rows = [{ first: 0, count: 1 }, { first: 1, count: 65_536 }];
  expect(setAside(rows, 0)).toEqual({ rest: [{ first: 0, count: 1 }, { first: 1, count: 65_534 }], sentry: 65_536, gofer: 65_535 });
  expect(setAside([...rows, { first: 70_000, count: 2 }], 0)).toMatchObject({ sentry: 65_536, gofer: 65_535 });
});

test("where no row has three, both are the caller's own", () => {
  for (const rows of [[], [{ first: 1000, count: 1 }], [{ first: 5, count: 2 }]]) expect(setAside(rows, 1000)).toEqual({ rest: rows, sentry: 1000, gofer: 1000 });
});

test("subordinate ids, by name or uid; of others, and what is no number, there are none", () => {
  const text = "me:100000:65536\nyou:165536:65536\n1000:300000:10\nme:x:5\nme:400000:0\n\nme:500000\n";
  expect(parseSubordinate(text, ["me", "1000"])).toEqual([{ first: 100_000, count: 65_536 }, { first: 300_000, count: 10 }]);
});
