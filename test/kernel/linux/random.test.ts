import { expect, test } from "vitest";
import { randomBytes, randomUuid } from "../../../linux/random.ts";

test("bytes are as many as asked for, and others each time", () => {
  expect(randomBytes(256)).toHaveLength(256);
  expect(randomBytes(0)).toHaveLength(0);
  expect(randomBytes(32)).not.toEqual(randomBytes(32));
});

test("a UUID is one of version 4", () => {
  const many = Array.from({ length: 200 }, randomUuid);
  for (const uuid of many) expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(many).size).toBe(many.length);
});
