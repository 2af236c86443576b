import { describe, expect, test } from "vitest";
import { rootSizeOf } from "./root-size.ts";

const KEY = "dev.tssandbox.root-size";
const limit = (bytes: number) => ({ linux: { resources: { memory: { limit: bytes } } } });

test.each([
  ["half of the memory limit", limit(64 << 20), { bytes: 32 << 20, inodes: 8192 }],
  ["nothing without a limit", {}, undefined],
  ["nothing without one by a number either", limit(-1), undefined],
  ["what the annotation says, over the limit's share", { ...limit(64 << 20), annotations: { [KEY]: "1g" } }, { bytes: 2 ** 30, inodes: 2 ** 18 }],
  ["bytes without a unit; a few inodes always", { annotations: { [KEY]: "8192" } }, { bytes: 8192, inodes: 1024 }],
])("%s", (_what, spec, size) => {
  expect(rootSizeOf(spec)).toEqual(size);
});

test("under strict no more than the limit", () => {
  const asked = { ...limit(64 << 20), annotations: { [KEY]: "1g" } };
  expect(rootSizeOf(asked, "strict")).toEqual({ bytes: 64 << 20, inodes: 16_384 });
  expect(rootSizeOf({ ...limit(-1), annotations: { [KEY]: "1m" } }, "strict")).toEqual({ bytes: 1 << 20, inodes: 1024 });
});

describe("an annotation that means nothing is refused", () => {
  test.each(["", "0", "1.5g", "-1", "1t", "1 m", "999999999999999g"])("%j", (text) => {
    expect(() => rootSizeOf({ annotations: { [KEY]: text } })).toThrow(/root-size.*must be a number of bytes/);
  });
});
