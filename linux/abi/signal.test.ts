import { expect, test } from "vitest";
import { parseSignal } from "./signal.ts";

test.each([
  ["TERM", 15], ["SIGTERM", 15], ["sigterm", 15], ["kill", 9], ["15", 15], ["0", 0], ["64", 64], ["RTMIN", 34], ["SIGRTMIN+1", 35],
  ["rtmax-1", 63], ["RTMAX", 64],
])("%s is %d", (text, number) => {
  expect(parseSignal(text)).toBe(number);
});

test.each(["", "SIG", "NONE", "65", "-1", "1.5", "RTMIN-1", "RTMAX+1", "RTMIN+31", "RTMIN1", "SIGSIGTERM", "toString", "constructor"])("%j is none", (text) => {
  expect(parseSignal(text)).toBeUndefined();
});
