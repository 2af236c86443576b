// A program in parts (scripts/parts.ts): loaded when they are needed, and each module once.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundle } from "../../scripts/bundle.ts";
import { nodePath } from "../support/forked.ts";
import { projectRoot, uniqueId } from "../support/paths.ts";

const folder = join(projectRoot, ".cache", uniqueId());
const at = (name: string) => relative(projectRoot, join(folder, name));

const modules = {
  "main.ts": `import { count, Shape } from "./state.ts"; import { left } from "./left.ts"; import { right } from "./right.ts";
    void Promise.resolve().then(() => {
      const [, , what] = process.argv;
      count();
      const said = what === "left" ? left() : what === "both" ? [left(), right()] : "nothing";
      console.log(JSON.stringify({ said, counted: count(), same: what === "left" ? left.shape() instanceof Shape : true }));
    });`,
  "state.ts": `let n = 0; export const count = () => ++n; export class Shape {} export default "unused";`,
  "left.ts": `import { count, Shape } from "./state.ts"; import { inner } from "./inner.ts"; console.error("left");
    export const left = Object.assign(() => ["left", count(), inner()], { shape: () => new Shape() });`,
  "inner.ts": `let calls = 0; export const inner = () => ++calls;`,
  "right.ts": `import { count } from "./state.ts"; import { inner } from "./inner.ts"; import { left } from "./left.ts"; console.error("right");
    export const right = () => ["right", count(), inner(), left()];`,
};

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(modules)) writeFileSync(join(folder, name), text);
  const parts = [{ name: "one", entries: [at("left.ts")] }, { name: "two", entries: [at("right.ts")] }];
  await bundle(join(folder, "main.ts"), join(folder, "out"), [], parts);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(what: string): { out: unknown; err: string[] } {
  const out = execFileSync("sh", ["-c", '"$0" "$1" "$2" 2>&1', nodePath, join(folder, "out/tssandbox.cjs"), what], { encoding: "utf8" }).trim().split("\n");
  return { out: JSON.parse(out.pop() ?? ""), err: out };
}

test("parts have one copy of what they share, by value and by class, and so does one part of another's", () => {
  expect(run("left")).toEqual({ out: { said: ["left", 2, 1], counted: 3, same: true }, err: ["left"] });
  expect(run("both")).toEqual({ out: { said: [["left", 2, 1], ["right", 3, 2, ["left", 4, 3]]], counted: 5, same: true }, err: ["left", "right"] });
});

test("a part that is not used is not read", () => {
  for (const name of ["one.cjs", "one.cache", "two.cjs", "two.cache"]) unlinkSync(join(folder, "out", name));
  expect(run("nothing")).toEqual({ out: { said: "nothing", counted: 2, same: true }, err: [] });
});
