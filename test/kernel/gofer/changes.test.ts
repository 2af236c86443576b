/** What the host changes in a shared directory, a guest sees at once; what nobody else may change, it believes. */
import { spawn } from "node:child_process";
import { appendFileSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { nodePath, FORK_FLAGS } from "../../support/forked.ts";
import { removeWorkDir } from "../../support/paths.ts";
import { freshDirectory, ON_MOUNT, runOnMount, type Lending, type Setup } from "./mounted.ts";

afterAll(removeWorkDir);

/** Looks at everything, says so, waits for a line, looks again within a tenth of the second for which the kernel would believe. */
const GUEST = `
look() { cat f; ls d; test -e absent && echo there; cat moved 2>/dev/null; stat -c %s d/grows; }
look > /dev/fd/1; look; echo READY; read -r line; look`;

async function seenAfter(change: (from: string) => void, lending: Lending): Promise<string> {
  const [from, at] = [freshDirectory(), freshDirectory()];
  mkdirSync(join(from, "d"));
  for (const name of ["f", "d/one", "d/grows"]) writeFileSync(join(from, name), `${name}\n`);
  const setup: Setup = { lend: [{ from, at, ...lending }], cwd: at, command: ["/bin/sh", "-c", GUEST] };
  const guest = spawn(nodePath, [...FORK_FLAGS, ON_MOUNT, JSON.stringify(setup)], { stdio: ["pipe", "pipe", "inherit"] });
  let output = "";
  const ended = new Promise((resolve) => guest.on("close", resolve));
  guest.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
    if (!output.endsWith("READY\n")) return;
    change(from);
    setTimeout(() => guest.stdin.end("go\n"), 100);
  });
  await ended;
  return output.slice(output.indexOf("READY\n") + 6);
}

function changeAll(from: string): void {
  writeFileSync(join(from, "f"), "changed\n");
  writeFileSync(join(from, "d/two"), "");
  writeFileSync(join(from, "absent"), "");
  renameSync(join(from, "d/one"), join(from, "moved"));
  appendFileSync(join(from, "d/grows"), "more");
}

test("shared: contents, names that come, go and move, sizes", async () => {
  expect(await seenAfter(changeAll, { cache: "shared" })).toBe("changed\ngrows\ntwo\nthere\nd/one\n12\n");
});

test("exclusive: what has been seen stays", async () => {
  const seen = await seenAfter(changeAll, { cache: "exclusive" });
  expect(seen).not.toContain("there");
  expect(seen.slice(0, 2)).toBe("f\n");
});

test("shared: who changes names without end does not keep others from being answered", () => {
  const [from, at] = [freshDirectory(), freshDirectory()];
  for (const name of ["f", "one"]) writeFileSync(join(from, name), `${name}\n`);
  const endless = `const { renameSync } = require("node:fs"); process.chdir(${JSON.stringify(from)}); for (;;) { renameSync("one", "two"); renameSync("two", "one"); }`;
  const changer = spawn(nodePath, ["-e", endless], { stdio: ["ignore", "ignore", "inherit"] });
  const command = ["/bin/sh", "-c", "ls > /dev/null; i=0; while [ $i -lt 10 ]; do cat f; touch new; rm new; i=$((i+1)); done"];
  try {
    const { code, signal, stdout } = runOnMount({ lend: [{ from, at, cache: "shared" }], cwd: at, command });
    expect({ code, signal, stdout }).toEqual({ code: 0, signal: null, stdout: "f\n".repeat(10) });
  } finally {
    changer.kill("SIGKILL");
  }
});
