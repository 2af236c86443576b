/** A C program for each area of the kernel's interface (test/guest/areas): what it observes natively it observes in a sandbox. */
import { execFileSync } from "node:child_process";
import { chmodSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { removeWorkDir } from "../support/paths.ts";
import { AREA_DIFFERENCES, MISSING_AREAS } from "./area-differences.ts";
import { freshDirectory, PLATFORM, runBoth } from "./support.ts";

afterAll(removeWorkDir);

const SOURCES = join(import.meta.dirname, "../guest/areas");
const areas = readdirSync(SOURCES).filter((name) => name.endsWith(".c")).map((name) => basename(name, ".c"));
let programs = "";

beforeAll(() => {
  programs = freshDirectory();
  chmodSync(programs, 0o755);
  for (const area of areas) {
    const flags = ["-static", "-pthread", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result"];
    execFileSync("gcc", [...flags, "-o", join(programs, area), join(SOURCES, `${area}.c`)], { stdio: ["ignore", "inherit", "inherit"] });
  }
});

test.each(areas)(`%s (${PLATFORM})`, async (area) => {
  const { native, sandbox } = await runBoth(() => ({ args: [`/guest/${area}`], lend: { "/guest": programs, "/volume": freshDirectory() } }));
  expect(native, native.stdout + native.stderr).toMatchObject({ code: 0 });
  expect(sandbox, sandbox.stdout + sandbox.stderr).toMatchObject({ code: 0, stderr: native.stderr });
  const missing = MISSING_AREAS[PLATFORM][area];
  if (missing !== undefined) return expect(sandbox.stdout).toBe(missing.sandbox);
  expect(differing(native.stdout, sandbox.stdout)).toEqual(AREA_DIFFERENCES.filter((known) => known.area === area).map(({ native: before, sandbox: after }) => [before, after]));
});

/** The lines that are not the same, pairwise; a line more or less shows as a pair with undefined. */
function differing(native: string, sandbox: string): [string | undefined, string | undefined][] {
  const [before, after] = [native.split("\n"), sandbox.split("\n")];
  const rows = Array.from({ length: Math.max(before.length, after.length) }, (_, i): [string | undefined, string | undefined] => [before[i], after[i]]);
  return rows.filter(([one, other]) => one !== other);
}
