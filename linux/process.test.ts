import { expect, test } from "vitest";
import { kill } from "./process.ts";

// With signal 0, which does nothing where the check is missing.
test("no signal goes to pid 0, which would be the caller's own process group", () => {
  expect(() => kill(0, 0)).toThrow(RangeError);
  expect(kill(process.pid, 0)).toBe(true);
});
