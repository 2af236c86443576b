/** docs/configuration.md against the schema: the same keys, the same values, and an example that says what holds without it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseConfig } from "./config.ts";
import { ConfigSchema } from "./schema.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/configuration.md"), "utf8");

interface Schema {
  readonly type: string;
  readonly wrapped?: Schema;
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly options?: readonly string[];
}

/** Each key by its path, with the schema of its value. */
function keysOf({ entries = {} }: Schema, prefix = ""): [string, Schema][] {
  return Object.entries(entries).flatMap(([name, { wrapped = { type: "" } }]) => (wrapped.entries === undefined ? [[prefix + name, wrapped] as [string, Schema]] : keysOf(wrapped, `${prefix}${name}.`)));
}

const keys = keysOf(ConfigSchema as unknown as Schema);
const rows = new Map([...page.matchAll(/^\| `([\w.]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm)].map(([, key = "", values = ""]) => [key, values]));
const example = /^```json\n([\s\S]*?)^```$/m.exec(page)?.[1] ?? "";

describe("docs/configuration.md", () => {
  test("has a row for each key, and for nothing else", () => expect([...rows.keys()]).toEqual(keys.map(([key]) => key)));

  test.each(keys.filter(([, { options }]) => options !== undefined))("names the values of %s", (key, { options = [] }) => {
    expect([...(rows.get(key) ?? "").matchAll(/`(\w+)`/g)].map(([, value]) => value)).toEqual(options);
  });

  test("has an example with every key, which is accepted", () => {
    const flat = (value: object, prefix = ""): string[] => Object.entries(value).flatMap(([name, inner]) => (typeof inner === "object" && !keys.some(([key]) => key === prefix + name) ? flat(inner, `${prefix}${name}.`) : [prefix + name]));
    expect(flat(parseConfig(example, "the example"))).toEqual(keys.map(([key]) => key));
  });
});
