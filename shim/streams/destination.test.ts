import { expect, test } from "vitest";
import { parseDestination } from "./destination.ts";

test.each([
  ["", { kind: "none" }],
  ["/run/fifo/1-stdout", { kind: "fifo", path: "/run/fifo/1-stdout" }],
  ["fifo:///run/f", { kind: "fifo", path: "/run/f" }],
  ["file:///var/log/a%20b", { kind: "file", path: "/var/log/a b" }],
  ["binary:///opt/logger?--tag=x&flag", { kind: "binary", path: "/opt/logger", args: ["--tag", "x", "flag"] }],
])("%s", (text, expected) => {
  expect(parseDestination(text)).toEqual(expected);
});

test.each(["tcp://host:1", "relative", "npipe:////./x"])("%s is refused", (text) => {
  expect(() => parseDestination(text)).toThrow(/cannot send a stream/);
});
