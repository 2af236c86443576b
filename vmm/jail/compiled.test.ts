import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compiledModules } from "./generate.ts";

test.each(Object.entries(compiledModules()))("%s is what its policy makes: else run vmm/jail/generate.ts", (name, text) => {
  expect(readFileSync(join(import.meta.dirname, name), "utf8")).toBe(text);
});
