import { expect, test } from "vitest";
import type { Spec } from "../spec/config.ts";
import { withinMemory } from "./memory-mounts.ts";

const LIMIT = 64 << 20;
const spec = (limit: number | undefined, type: string, options: string[]) => ({ mounts: [{ destination: "/m", type, options }], linux: { resources: { memory: { limit } } } }) as unknown as Spec;

test.each([
  ["tmpfs", ["nosuid"], ["nosuid", `size=${LIMIT}`]],
  ["tmpfs", ["size=65536k", "mode=755"], ["mode=755", `size=${LIMIT}`]],
  ["tmpfs", ["size=1M"], [`size=${1 << 20}`]],
  ["tmpfs", ["size=2g"], [`size=${LIMIT}`]],
  ["tmpfs", ["size=50%", "nr_blocks=99999999"], [`size=${LIMIT}`]],
  ["tmpfs", ["size=0"], [`size=${LIMIT}`]],
  ["ramfs", [], [`size=${LIMIT}`]],
])("%s %j", (type, options, bounded) => expect(withinMemory(spec(LIMIT, type, options)).mounts).toEqual([{ destination: "/m", type: "tmpfs", options: bounded }]));

test.each([[undefined, "tmpfs"], [-1, "tmpfs"], [LIMIT, "proc"]])("a limit of %s leaves %s alone", (limit, type) => {
  const given = spec(limit, type, ["x"]);
  expect(withinMemory(given).mounts).toEqual(given.mounts);
});
