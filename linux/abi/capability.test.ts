import { expect, test } from "vitest";
import { CAPABILITIES, capabilityMask } from "./capability.ts";

test("a list of capabilities is one bit for each, whatever the order and the repetitions", () => {
  expect(capabilityMask([])).toBe(0n);
  expect(capabilityMask(["CAP_NET_RAW", "CAP_CHOWN", "CAP_CHOWN"])).toBe(0x2001n);
  expect(capabilityMask(["CAP_CHECKPOINT_RESTORE"])).toBe(1n << 40n);
  expect(capabilityMask(CAPABILITIES)).toBe((1n << 41n) - 1n);
});

test("names that are no capabilities are left out", () => {
  expect(capabilityMask(["CAP_NOTHING", "chown", "CAP_KILL"])).toBe(1n << 5n);
});
