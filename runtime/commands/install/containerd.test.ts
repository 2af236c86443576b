import { expect, test } from "vitest";
import { handlersIn, withBlock, withoutBlock } from "./containerd.ts";

const OWN = `version = 2\n[plugins] # mine\n`;

test("the block comes last, and what was before it stays as it is", () => {
  const text = withBlock(OWN, "2", "");
  expect(text.startsWith(OWN)).toBe(true);
  expect(text).toContain(`[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tssandbox-vm.options]\nConfigPath = "/etc/tssandbox/handlers/tssandbox-vm.json"\n`);
  expect(withoutBlock(text)).toBe(OWN);
  expect(withBlock(withoutBlock(text), "2", "")).toBe(text);
});

test("what follows the block stays too", () => {
  expect(withoutBlock(`${withBlock(OWN, "3", "")}[debug]\n`)).toBe(`${OWN}[debug]\n`);
});

test("a file of the first form is refused", () => expect(() => withBlock("", "1", "")).toThrow(/version is 1; .*containerd config migrate/));

// As containerd 1.6 and 2.1 print.
test.each([`"`, `'`])("handlers are found by their tables, quoted by %s", (quote) => {
  const table = `[plugins.${quote}io.containerd.cri.v1.runtime${quote}.containerd.runtimes`;
  const dump = `[plugins]\n  ${table}]\n\n    ${table}.runc]\n      runtime_type = "a"\n\n      ${table}.runc.options]\n        Root = ""\n    ${table}.other-1.2]\n      runtime_type = "b"\n  [plugins.x]\n    y = 1\n`;
  expect([...handlersIn(dump)]).toEqual([
    ["runc", `${table}.runc]\nruntime_type = "a"\n${table}.runc.options]\nRoot = ""\n`],
    ["other-1.2", `${table}.other-1.2]\nruntime_type = "b"\n`],
  ]);
});
