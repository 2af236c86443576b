import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { generated } from "./generate.ts";

test.each(Object.keys(generated))("%s is what the allow list makes: else run sentry/generate.ts", (path) => {
  expect(readFileSync(join(import.meta.dirname, path), "utf8")).toBe(generated[path]?.());
});
