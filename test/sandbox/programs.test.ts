/** Programs as Debian has them, unmodified, do in a sandbox what they do natively: same output, same exit code. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { removeWorkDir } from "../support/paths.ts";
import type { Spec } from "../support/spec.ts";
import { bash, PLATFORM, runBoth, runInSandbox } from "./support.ts";

afterAll(removeWorkDir);

/** What no two runs have in common, nor two moments of one. */
const VARYING: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/\bin \d+(\.\d+)?m?s\b/g, "in TIME"],
  [/^(\/bin\/bash: line \d+:) +\d+ /gm, "$1 PID "],
  [/^(strace: Process) \d+/gm, "$1 PID"],
  [/^[\d/]+ [\d:]+ \[notice\] \d+#\d+/gm, "TIME [notice] PID"],
];

const normalised = (text: string) => VARYING.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), text);

const SCRIPTS = join(import.meta.dirname, "programs");

/** All of them, or those that TSSANDBOX_PROGRAMS names, separated by blanks. */
const names = process.env["TSSANDBOX_PROGRAMS"]?.split(" ") ?? readdirSync(SCRIPTS).map((name) => basename(name, ".sh"));

/** Programs that a platform cannot run, and what they say: on ptrace every task has a tracer, and can have but one. */
const IMPOSSIBLE: Readonly<Record<string, RegExp>> = PLATFORM === "ptrace" ? { debuggers: /PTRACE_TRACEME, \.\.\.\): Operation not permitted/ } : {};

/** What the fork storm needs, and little more. */
const TASKS = 3010;

const limitTasks = (limit: number) => (spec: Spec) => {
  Object.assign(spec.linux.resources!, { pids: { limit } });
};

test.each(names)(`%s (${PLATFORM})`, async (name) => {
  const { native, sandbox } = await runBoth({ args: bash(readFileSync(join(SCRIPTS, `${name}.sh`), "utf8")), edit: limitTasks(TASKS) });
  expect(native.code, native.stderr).toBe(0);
  expect(native.stdout).toMatch(/\n.*done\n$/);
  const impossible = IMPOSSIBLE[name];
  if (impossible !== undefined) return expect(sandbox.stderr).toMatch(impossible);
  expect(normalised(sandbox.stderr)).toBe(normalised(native.stderr));
  expect(normalised(sandbox.stdout)).toBe(normalised(native.stdout));
  expect(sandbox.code).toBe(0);
});

/** Under the policy `strict` all but those that trace: nobody is to look into what the sentry follows (decision 0041). */
const STRICT = names.filter((name) => name !== "debuggers");

const strictly = (spec: Spec) => Object.assign(spec, { annotations: { "dev.tssandbox.policy": "strict" } });

test.each(STRICT)(`%s (${PLATFORM}, strict)`, async (name) => {
  const { native, sandbox } = await runBoth({ args: bash(readFileSync(join(SCRIPTS, `${name}.sh`), "utf8")), edit: (spec) => (limitTasks(TASKS)(spec), strictly(spec)) });
  expect(native.stdout).toMatch(/\n.*done\n$/);
  expect({ ...sandbox, stdout: normalised(sandbox.stdout), stderr: normalised(sandbox.stderr) }).toEqual({ ...native, stdout: normalised(native.stdout), stderr: normalised(native.stderr) });
});

test("a fork storm ends at the limit of tasks, and the sandbox goes on", async () => {
  const script = "import os, time\npids = []\ntry:\n  while len(pids) < 1000:\n    pid = os.fork()\n    if pid == 0: time.sleep(100)\n    pids.append(pid)\nexcept OSError as e: print(e.errno, len(pids) < 100)\nfor pid in pids: os.kill(pid, 9); os.wait()\nprint(os.system('true'))";
  const done = await runInSandbox({ args: ["python3", "-c", script], edit: limitTasks(100) });
  expect(done).toEqual({ code: 0, stdout: "11 True\n0\n", stderr: "" });
});
