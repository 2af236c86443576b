// What a start may load of the program's parts (scripts/parts.ts): a part that creeps in costs milliseconds at every start.
import { copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Bundle } from "../support/bundle.ts";
import { projectRoot, uniqueId } from "../support/paths.ts";
import { runRuntime } from "../support/runtime.ts";

/** A program that has these parts alone. @returns its launcher. */
function programOf(folder: string, parts: readonly string[]): string {
  for (const name of ["bin", "dist"]) mkdirSync(join(folder, name), { recursive: true });
  const files = ["bin/tssandbox", "dist/tssandbox.cjs", "dist/koffi.node", ...parts.flatMap((name) => [`dist/${name}.cjs`, `dist/${name}.cache`])];
  for (const file of files) copyFileSync(join(projectRoot, file), join(folder, file));
  symlinkSync(join(projectRoot, "node_modules"), join(folder, "node_modules"));
  return join(folder, "bin/tssandbox");
}

const STARTS = [
  { mode: "namespace", parts: ["main"] },
  { mode: "sentry", parts: ["main", "shared", "sandbox"] },
];

test.each(STARTS)("in mode $mode a container is run by $parts alone", async ({ mode, parts }) => {
  using bundle = new Bundle({ args: ["echo", "ran"] });
  const program = programOf(bundle.path("program"), parts);
  const { code, stdout, stderr } = await runRuntime([program, "--root", bundle.path("state"), "--mode", mode, "run", "--bundle", bundle.dir, uniqueId()]);
  expect([code, stdout, stderr]).toEqual([0, "ran\n", ""]);
});
