/** The loop: a made-up tree through it, and every way in which it ends. */
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { runCase } from "../../support/forked.ts";
import { removeWorkDir } from "../../support/paths.ts";
import { freshDirectory } from "./mounted.ts";

afterAll(removeWorkDir);

const script = join(import.meta.dirname, "scripts", "served.ts");

test("a made-up tree is read as any other, and cannot be changed", () => {
  expect(runCase(script, "synthetic", freshDirectory())).toEqual({
    names: ["big", "broken", "counter", "hello", "link", "many", "private", "sub"],
    hello: "world\n",
    computedAnew: true,
    big: 300_000,
    broken: "EIO",
    private: [7, 8, "100600", 4096],
    link: ["sub/deep", "deep"],
    many: 2000,
    last: "1999",
    missing: "ENOENT",
    written: "EROFS",
    created: "EROFS",
    removed: "EROFS",
    end: 10,
  });
});

test("it ends with its last connection", () => {
  expect(runCase(script, "unmounted", freshDirectory(), freshDirectory())).toBe(10);
});

test("it ends when the lifeline is cut, and whoever asks is told at once", () => {
  expect(runCase(script, "lifeline", freshDirectory(), freshDirectory())).toEqual({ end: 20, after: "ENOTCONN" });
});

test("when it is killed, whoever asks is told at once", () => {
  expect(runCase(script, "killed", freshDirectory(), freshDirectory())).toEqual({ end: 137, after: "ENOTCONN" });
});
