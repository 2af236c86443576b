import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { OUTPUT_LIMIT, sendToConsole } from "./console-output.ts";

test("a guest that prints without end fills no disk", () => {
  const folder = mkdtempSync(join(tmpdir(), "tssandbox-console-"));
  const fd = openSync(join(folder, "console"), "w");
  for (let i = 0; i < OUTPUT_LIMIT + 1000; i++) sendToConsole(fd, 65);
  expect(fstatSync(fd).size).toBe(OUTPUT_LIMIT);
  closeSync(fd);
  rmSync(folder, { recursive: true });
});
