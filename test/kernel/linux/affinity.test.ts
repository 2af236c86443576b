import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { allowedCpus } from "../../../linux/sched.ts";
import { FORK_FLAGS, nodePath } from "../../support/forked.ts";

test("the processors that a task may run on are as many as nproc says", () => {
  expect(allowedCpus()).toBe(Number(execFileSync("nproc", { encoding: "utf8", env: { PATH: process.env["PATH"] } })));
  const script = `import { allowedCpus } from ${JSON.stringify(join(import.meta.dirname, "../../../linux/sched.ts"))}; console.log(allowedCpus())`;
  expect(execFileSync("taskset", ["-c", "0", nodePath, ...FORK_FLAGS, "--input-type=module", "-e", script], { encoding: "utf8" })).toBe("1\n");
});
