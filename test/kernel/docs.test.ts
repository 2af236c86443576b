/** The examples in the documentation: what a `console` block shows after `$ ` is run, and must print what follows. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const pages = ["README.md", ...readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`)];

interface Example {
  readonly page: string;
  readonly command: string;
  readonly output: string;
}

function examplesOf(page: string): Example[] {
  const blocks = [...readFileSync(join(root, page), "utf8").matchAll(/^```console\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block);
  return blocks.flatMap((block) =>
    block.split(/^\$ /m).slice(1).map((example) => {
      const end = example.indexOf("\n");
      return { page, command: example.slice(0, end), output: example.slice(end + 1) };
    }),
  );
}

const examples = pages.flatMap(examplesOf);

describe("examples in the documentation", () => {
  test("there are some", () => expect(examples.length).toBeGreaterThan(3));

  test.each(examples)("$page: $command", ({ command, output }) => {
    // Installing is what has happened before this test.
    const script = command.replace(/^npm ci && /, "");
    const env = { ...process.env, PATH: `${root}/bin:${root}/node_modules/.bin:${process.env["PATH"] ?? ""}` };
    const result = spawnSync("sh", ["-c", script], { cwd: root, encoding: "utf8", env, stdio: ["ignore", "pipe", "pipe"] });
    expect(result.stdout + result.stderr).toBe(output);
  });
});
