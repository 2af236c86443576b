import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const blocks = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^```(ts|text)\n(.*?)^```$/gms)];
const block = (language: string): string | undefined => blocks.find(([, name]) => name === language)?.[2];

test("the example of the README is the one that runs, and prints what the README says", () => {
  const file = join(root, "test/example.ts");
  const example = readFileSync(file, "utf8").replaceAll("../src/index.ts", "seccomp-bpf-ts");
  expect(block("ts")).toBe(example);
  expect(block("text")).toBe(execFileSync(process.execPath, [file], { encoding: "utf8" }));
});
