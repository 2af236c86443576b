import * as fc from "fast-check";
import { expect, test } from "vitest";
import { blocks, oneOf } from "./checks.ts";

const numbers = fc.uniqueArray(fc.nat({ max: 200 }), { minLength: 1, maxLength: 60 });

const members = (list: ReturnType<typeof blocks>): number[] => list.flatMap(({ start, size }) => Array.from({ length: size }, (_, i) => start + i));

test("blocks hold the numbers given and no others", () => {
  fc.assert(fc.property(numbers, (values) => void expect(members(blocks(values))).toEqual([...values].sort((a, b) => a - b))));
});

test("blocks are aligned, and no two of them make one", () => {
  fc.assert(
    fc.property(numbers, (values) => {
      const found = blocks(values);
      for (const { start, size } of found) expect(start % size).toBe(0);
      for (const [index, { start, size }] of found.entries()) {
        const next = found[index + 1];
        const mergeable = next !== undefined && next.size === size && next.start === start + size && start % (2 * size) === 0;
        expect(mergeable).toBe(false);
      }
    }),
  );
});

test("numbers in a row take few comparisons", () => {
  expect(blocks([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])).toEqual([
    { start: 0, size: 8 },
    { start: 8, size: 2 },
  ]);
});

test("an int's upper half does not count, a wide argument's does", () => {
  expect(oneOf(1, [0x5401])).toEqual([{ index: 1, op: "masked-eq", value: 0xffff_ffffn, valueTwo: 0x5401n }]);
  expect(oneOf(0, [2, 3], 64)).toEqual([{ index: 0, op: "masked-eq", value: 0xffff_ffff_ffff_fffen, valueTwo: 2n }]);
});
