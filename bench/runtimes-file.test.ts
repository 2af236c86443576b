import { expect, test } from "vitest";
import type { BenchBundle } from "./bundle.ts";
import { parseRuntimes } from "./runtimes-file.ts";

const bundle = { path: "/b", rootfs: "/b/rootfs" } as BenchBundle;

test("the places of a command are filled in, wherever they are", () => {
  const [mine] = parseRuntimes(JSON.stringify([{ name: "mine", command: ["prog", "--root={rootfs}", "{bundle}/{id}", "x"], remove: ["prog", "rm", "{id}"], version: ["prog", "-v"] }]));
  expect(mine?.run(bundle, "i")).toEqual(["prog", "--root=/b/rootfs", "/b/i", "x"]);
  expect(mine?.remove?.(bundle, "i")).toEqual(["prog", "rm", "i"]);
  expect(mine?.version).toEqual(["prog", "-v"]);
  expect(parseRuntimes('[{"name":"a","command":["x"]}]')[0]).not.toHaveProperty("remove");
});

test.each([
  ['[{"name":"a","command":["x","{bundel}"]}]', /0\.command\.1: the places to fill in are \{bundle\}, \{rootfs\}, \{id\}/],
  ['[{"name":"a","command":[]}]', /0\.command/],
  ['[{"name":"../a","command":["x"]}]', /0\.name/],
  ['[{"name":"a","command":["x"],"speed":1}]', /speed/],
  ['{"name":"a"}', /the file/],
  ["nonsense", /JSON/],
])("%s is refused", (text, why) => {
  expect(() => parseRuntimes(text)).toThrow(why);
});
