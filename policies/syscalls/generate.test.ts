import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compiledPolicy } from "./compiled.ts";
import { compilePolicy } from "./filter.ts";
import { generated } from "./generate.ts";
import { policies } from "./policy.ts";

test.each(Object.keys(generated))("%s is what the table makes: else run policies/syscalls/generate.ts", (path) => {
  expect(readFileSync(join(import.meta.dirname, path), "utf8")).toBe(generated[path]?.());
});

test("a compiled filter is the compiler's", () => {
  expect([...compiledPolicy("balanced")]).toEqual([...compilePolicy(policies.balanced)]);
});
