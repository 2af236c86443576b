import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { GOALS } from "./goals.ts";

const guests = join(import.meta.dirname, "guest");
const sources = readdirSync(guests).map((name) => readFileSync(join(guests, name), "utf8")).join("\n");

test("what a goal is about is measured under that name", () => {
  const unknown = GOALS.filter(({ name }) => {
    const [, own = "?"] = /^\w+: (.*?)(?:, (?:first|again))?$/.exec(name) ?? [];
    return [own, `${own}, $pass`, own.replace(/\d+$/, "$depth")].every((text) => !sources.includes(`"${text}"`));
  });
  expect(unknown).toEqual([]);
});
