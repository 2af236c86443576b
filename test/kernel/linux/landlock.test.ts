import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runCase } from "../../support/forked.ts";
import { uniqueId, workDir } from "../../support/paths.ts";

const script = fileURLToPath(new URL("scripts/landlock.ts", import.meta.url));
const run = (name: string, ...args: string[]) => runCase(script, name, ...args);

function freshDir(): string {
  const dir = join(workDir, uniqueId());
  mkdirSync(dir);
  return dir;
}

test("this kernel has Landlock with all that its version brings", () => {
  const { version, handled } = run("version") as { version: number; handled: unknown };
  expect(version).toBeGreaterThanOrEqual(6);
  expect(handled).toEqual({ fs: 0xffff, net: 3, scoped: 3 });
});

test("a confined process writes beneath its directory and nowhere else", () => {
  expect(run("files", freshDir())).toEqual({
    dirRightsOnFile: "EINVAL",
    inside: ["ok", "ok", "ok"],
    outside: ["EACCES", "EACCES", "EACCES", "EACCES"],
    read: ["ok", "EACCES"],
  });
});

test("rights that the ruleset does not handle are left out of its rules", () => {
  expect(run("best effort", freshDir())).toEqual({ inside: "ok", outside: "EACCES", bind: "ok" });
});

test("a port outside the rules cannot be bound", () => {
  expect(run("ports")).toEqual({ before: "ok", any: "ok", other: "EACCES" });
});

test("a scoped process signals itself and not its parent", () => {
  expect(run("scope")).toEqual({ before: "ok", parent: "EPERM", self: "ok" });
});

test("what Landlock refuses is an error with its errno", () => {
  expect(run("refusals")).toEqual({ withoutNoNewPrivileges: "EPERM", unknownBit: "EINVAL", empty: "ENOSYS" });
});
