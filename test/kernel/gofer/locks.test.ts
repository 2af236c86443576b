/** A lock that somebody on the host holds counts in a shared directory, and is waited for. */
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { removeWorkDir } from "../../support/paths.ts";
import { until } from "../../support/until.ts";
import { freshDirectory, shellOn } from "./mounted.ts";

afterAll(removeWorkDir);

/** In the guest: is it free, take it at all events, say so. Python has fcntl(2) locks, flock(1) the others. */
const SCRIPTS = {
  flock: 'flock -n f true; echo "now $?"; touch asked; flock f echo then',
  fcntl: `python3 -c "
import fcntl
f = open('f', 'r+')
try: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB); print('now 0')
except BlockingIOError: print('now 1')
open('asked', 'w')
fcntl.lockf(f, fcntl.LOCK_EX); print('then')"`,
};
/** Until half a second after the guest has asked. */
const UNTIL_ASKED = "touch held; while ! test -e asked; do sleep 0.05; done; sleep 0.5";
const HOLD = {
  flock: `exec flock f sh -c '${UNTIL_ASKED}'`,
  fcntl: `exec python3 -c "
import fcntl, os
f = open('f', 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); os.system('${UNTIL_ASKED}')"`,
};

test.each([
  ["flock", "shared", "now 1\nthen\n"],
  ["fcntl", "shared", "now 1\nthen\n"],
  // Nobody else is there, by agreement: the guest's kernel keeps them.
  ["flock", "exclusive", "now 0\nthen\n"],
  ["fcntl", "exclusive", "now 0\nthen\n"],
] as const)("%s, %s", async (kind, cache, seen) => {
  const from = freshDirectory();
  writeFileSync(join(from, "f"), "x");
  const holder = spawn("/bin/sh", ["-c", HOLD[kind]], { cwd: from, stdio: "ignore" });
  await until("the lock", () => existsSync(join(from, "held")));
  try {
    expect(shellOn(from, SCRIPTS[kind], { cache })).toMatchObject({ code: 0, stderr: "", stdout: seen });
  } finally {
    holder.kill("SIGKILL");
  }
});

test("whoever waits can be interrupted", () => {
  const from = freshDirectory();
  writeFileSync(join(from, "f"), "x");
  const script = "flock f sleep 2 & sleep 0.2; timeout -s INT 0.3 flock f true; echo $?; wait";
  expect(shellOn(from, script, { cache: "shared" })).toMatchObject({ code: 0, stderr: "", stdout: "124\n" });
});
