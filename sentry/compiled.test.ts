import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compiledModule } from "./generate.ts";

test("the compiled filter is what the allow list makes: else run sentry/generate.ts", () => {
  expect(readFileSync(join(import.meta.dirname, "compiled.ts"), "utf8")).toBe(compiledModule());
});
