import { expect, test } from "vitest";
import { judgeNeighbour, parseJobs, type Attack, type Course } from "./resources.ts";

const attack: Attack = { attack: "processes", name: "", about: "", unit: "processes", limit: 64, quick: true };
const course: Course = { started: 10_000, began: 10_100, ended: 12_000, had: 60, onHost: false };
/** Every 10 ms from 9 s to 12.5 s; how long one takes while the attack is on, in ms. */
const jobs = (meanwhile: number, failed = false) =>
  Array.from({ length: 350 }, (_, i) => 9000 + 10 * i).map((at) => ({ at, took: at >= 10_100 && at < 12_000 ? meanwhile * 1e6 : 1e6, failed: failed && at > 11_000 }));

test("a neighbour that is served", () => expect(judgeNeighbour(jobs(3), course, attack)).toMatchObject({ verdict: "allowed", value: 3 }));
test("one that is slow", () => expect(judgeNeighbour(jobs(30), course, attack)).toMatchObject({ verdict: "reached", value: 30 }));
test("one whose jobs fail", () => expect(judgeNeighbour(jobs(2, true), course, attack)).toMatchObject({ verdict: "reached", detail: expect.stringMatching(/^\d+ of \d+ jobs failed/) as string }));
test("one that waits long once", () => {
  const list = [...jobs(2), { at: 10_500, took: 2.4e9, failed: false }];
  expect(judgeNeighbour(list, course, attack).verdict).toBe("reached");
});
test("one that does nothing meanwhile", () => {
  const list = jobs(1).filter(({ at }) => at < 10_000 || at > 12_000);
  expect(judgeNeighbour(list, course, attack)).toMatchObject({ verdict: "reached", detail: expect.stringContaining("did nothing") as string });
});
test("a limit that was not kept", () => {
  expect(judgeNeighbour(jobs(2), { ...course, had: 300 }, attack)).toMatchObject({ verdict: "reached", detail: expect.stringContaining("the limit of 64 was not enforced") as string });
});
test("an attack or a neighbour that was not", () => {
  expect(judgeNeighbour(jobs(2), { ...course, began: undefined }, attack).verdict).toBe("unknown");
  expect(judgeNeighbour([], course, attack).verdict).toBe("unknown");
});
test("lines of the neighbour's", () => {
  expect(parseJobs("1700000000000\t250000\tdone\nnoise\n1700000000010\t300000\tfailed\n1700000000020\t310000\tdon")).toEqual([
    { at: 1_700_000_000_000, took: 250_000, failed: false },
    { at: 1_700_000_000_010, took: 300_000, failed: true },
  ]);
});
