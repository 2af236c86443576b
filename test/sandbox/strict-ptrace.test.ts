/** The same on platform ptrace, where calls wait and descriptors come to be in other ways (decision 0040); and what signals, stops and execve do to those. */
import { execFileSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { expect, test } from "vitest";
import { freshDirectory, runBoth } from "./support.ts";

process.env["TSSANDBOX_PLATFORM"] = "ptrace";
await import("./strict.test.ts");

const edit = (spec: object) => void Object.assign(spec, { annotations: { "dev.tssandbox.policy": "strict" } });

test("waiting calls that signals, stops and execve end", async () => {
  const programs = freshDirectory();
  chmodSync(programs, 0o755);
  execFileSync("gcc", ["-static", "-pthread", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result", "-o", join(programs, "waiting"), join(import.meta.dirname, "../guest/waiting.c")]);
  const { native, sandbox } = await runBoth({ args: ["/guest/waiting"], lend: { "/guest": programs }, edit });
  expect(native).toMatchObject({ code: 0, stderr: "" });
  expect(sandbox).toEqual(native);
});
