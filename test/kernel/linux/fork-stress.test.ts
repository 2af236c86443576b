import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { FORK_FLAGS, runScript } from "../../support/forked.ts";

const scriptPath = (name: string) => fileURLToPath(new URL(`scripts/${name}.ts`, import.meta.url));
const plain = (name: string, flags?: readonly string[]) => runScript(scriptPath("fork-plain"), [name], flags);

const ended = (signal: number) => ({ kind: "signaled", signal });

const FORKS = 3000;
/** Many times what it takes on an idle machine. */
const STRESS_TIMEOUT = 240_000;

test("3,000 children of a busy heap each find it whole, collect garbage and compile code", { timeout: STRESS_TIMEOUT }, () => {
  const flags = [...FORK_FLAGS, "--expose-gc", "--min-semi-space-size=1", "--max-semi-space-size=1"];
  const { stdout, stderr } = runScript(scriptPath("fork-stress"), [String(FORKS)], flags, STRESS_TIMEOUT);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({ forks: FORKS, failures: [], walked: true });
});

test("1,000 children of a parent that allocates all the time have every page of its heap", { timeout: STRESS_TIMEOUT }, () => {
  const { stdout } = runScript(scriptPath("fork-allocating"), ["1000"], FORK_FLAGS, STRESS_TIMEOUT);
  expect(JSON.parse(stdout)).toEqual({ failures: [] });
});

test("without --single-threaded fork is refused, and says what to start instead", () => {
  const { code, stderr } = plain("refused", []);
  expect(code).toBe(1);
  expect(stderr).toContain("fork needs Node to run with --single-threaded; start tssandbox by its bin/tssandbox");
});

test("a child that throws ends with 255 and runs nothing of what follows the fork", () => {
  const { stdout, code } = plain("throws");
  expect(stdout).toBe(`${JSON.stringify({ behind: "the fork", status: { kind: "exited", code: 255 } })}\n`);
  expect(code).toBe(0);
});

test("a child has a pid of its own and exits with what its function returns", () => {
  expect(plain("returns").stdout).toBe('{"status":{"kind":"exited","code":42}}\n');
});

test("a signal to a child ends it and does not reach the parent's handlers, which still work", () => {
  const lines = plain("signal to the child").stdout.trim().split("\n").map((line) => JSON.parse(line) as unknown);
  expect(lines).toEqual([{ statuses: [ended(15), ended(2), ended(12)], handled: 0 }, { afterOwn: 1 }]);
});

test("a child can fork again", () => {
  expect(plain("grandchild").stdout).toBe('{"status":{"kind":"exited","code":6}}\n');
});

test("a child runs no exit handlers of its parent's", () => {
  expect(plain("no exit handlers").stdout).toBe('"parent"\nexit handler\n');
});
