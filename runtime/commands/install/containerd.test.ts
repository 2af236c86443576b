import { expect, test } from "vitest";
import { handlersIn, majorOf, withBlock, withoutBlock } from "./containerd.ts";

const OWN = `version = 2\n[plugins] # mine\n`;

test("the block comes last, and what was before it stays as it is", () => {
  const text = withBlock(OWN, "2", "", 1);
  expect(text.startsWith(OWN)).toBe(true);
  expect(text).toContain(`[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tssandbox-vm.options]\nConfigPath = "/etc/tssandbox/handlers/tssandbox-vm.json"\n`);
  expect(withoutBlock(text)).toBe(OWN);
  expect(withBlock(withoutBlock(text), "2", "", 1)).toBe(text);
});

test("containerd 2 has handlers of its own shim's type, whose pods it lets have user namespaces", () => {
  const text = withBlock(OWN, "3", "", 2);
  const table = 'plugins."io.containerd.cri.v1.runtime".containerd.runtimes.tssandbox';
  const handler = 'runtime_type = "io.containerd.runc.v2"\nruntime_path = "/usr/local/bin/containerd-shim-tssandbox-v1"\npod_annotations = ["dev.tssandbox.*"]\n';
  expect(text).toContain(`[${table}]\n${handler}[${table}-namespace]\n${handler}[${table}-namespace.options]\nBinaryName = "/etc/tssandbox/handlers/tssandbox-namespace.json"\n[`);
  expect(withBlock(OWN, "3", "", 2, true)).toContain(`[${table}.options]\nSystemdCgroup = true\n`);
});

test.each([
  ["containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1", 1],
  ["containerd github.com/containerd/containerd/v2 2.1.9+unknown ", 2],
  ["containerd github.com/containerd/containerd/v2 v2.0.0 abc", 2],
  ["containerd", 1],
])("%s", (text, major) => expect(majorOf(text)).toBe(major));

test("what follows the block stays too", () => {
  expect(withoutBlock(`${withBlock(OWN, "3", "", 2)}[debug]\n`)).toBe(`${OWN}[debug]\n`);
});

test("a file of the first form is refused", () => expect(() => withBlock("", "1", "", 1)).toThrow(/version is 1; .*containerd config migrate/));

// As containerd 1.6 and 2.1 print.
test.each([`"`, `'`])("handlers are found by their tables, quoted by %s", (quote) => {
  const table = `[plugins.${quote}io.containerd.cri.v1.runtime${quote}.containerd.runtimes`;
  const dump = `[plugins]\n  ${table}]\n\n    ${table}.runc]\n      runtime_type = "a"\n\n      ${table}.runc.options]\n        Root = ""\n    ${table}.other-1.2]\n      runtime_type = "b"\n  [plugins.x]\n    y = 1\n`;
  expect([...handlersIn(dump)]).toEqual([
    ["runc", `${table}.runc]\nruntime_type = "a"\n${table}.runc.options]\nRoot = ""\n`],
    ["other-1.2", `${table}.other-1.2]\nruntime_type = "b"\n`],
  ]);
});
