import { expect, test } from "vitest";
import { addressOf } from "./command.ts";
import { familyLines, Histogram } from "./exposition.ts";

test("labels are escaped: a pod's name is anybody's text", () => {
  const lines = familyLines({ name: "tasks", help: "Tasks.", type: "gauge", samples: [{ labels: { pod: 'a"b\\c\nd' }, value: 3 }, { labels: {}, value: 0.5 }] });
  expect(lines).toEqual(["# HELP tssandbox_tasks Tasks.", "# TYPE tssandbox_tasks gauge", String.raw`tssandbox_tasks{pod="a\"b\\c\nd"} 3`, "tssandbox_tasks 0.5"]);
});

test("a family without samples says nothing", () => expect(familyLines({ name: "x", help: "", type: "counter", samples: [] })).toEqual([]));

test("a histogram's buckets add up", () => {
  const histogram = new Histogram([0.1, 1]);
  for (const value of [0.1, 0.5, 3]) histogram.observe(value);
  expect(histogram.lines("create_seconds", { mode: "vm" })).toEqual([
    `tssandbox_create_seconds_bucket{mode="vm",le="0.1"} 1`,
    `tssandbox_create_seconds_bucket{mode="vm",le="1"} 2`,
    `tssandbox_create_seconds_bucket{mode="vm",le="+Inf"} 3`,
    `tssandbox_create_seconds_sum{mode="vm"} 3.6`,
    `tssandbox_create_seconds_count{mode="vm"} 3`,
  ]);
});

test.each([
  ["127.0.0.1:9466", { host: "127.0.0.1", port: 9466 }],
  ["[::1]:1", { host: "::1", port: 1 }],
  ["unix:/run/m.sock", { path: "/run/m.sock" }],
])("an address: %s", (text, address) => expect(addressOf(text)).toEqual(address));

test.each([":9466", "9466", "host:70000", "unix:m.sock", "a b:1"])("no address: %s", (text) => expect(() => addressOf(text)).toThrow("is no address"));
