import { expect, test } from "vitest";
import { contextParameters } from "./mount-label.ts";

// What SELinux does with it needs a kernel that has it; none of ours does.

const label = "system_u:object_r:container_file_t:s0:c715,c811";

test.each(["tmpfs", "devpts", "overlay", "ext4"])("%s takes the label as it is, commas and all", (type) => {
  expect(contextParameters(type, label)).toEqual([["context", label]]);
});

test.each(["proc", "sysfs", "mqueue"])("%s takes none", (type) => {
  expect(contextParameters(type, label)).toEqual([]);
});

test.each([undefined, ""])("no label: %j", (none) => {
  expect(contextParameters("tmpfs", none)).toEqual([]);
});

test("a context of the mount's own wins, another option does not", () => {
  expect(contextParameters("tmpfs", label, ["size=1m", "context=x"])).toEqual([]);
  expect(contextParameters("tmpfs", label, ["size=1m"])).toEqual([["context", label]]);
});
