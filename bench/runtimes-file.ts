/** Runtimes of the user's own, from a JSON file: how a bundle is run, as a command with places to fill in. */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import type { CommandOf, Commands } from "./runtimes.ts";

/** `{bundle}`: the directory with config.json and rootfs. `{rootfs}`: the latter. `{id}`: the container's. */
const PLACES = ["bundle", "rootfs", "id"] as const;

const known = v.check<string, string>((text) => [...text.matchAll(/\{(\w*)\}/g)].every(([, name]) => PLACES.some((place) => place === name)), `the places to fill in are ${PLACES.map((name) => `{${name}}`).join(", ")}`);
const Command = v.pipe(v.array(v.pipe(v.string(), known)), v.minLength(1));
const FileSchema = v.array(
  v.strictObject({
    /** In the tables; not one of the bench's own. */
    name: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/)),
    /** Runs the bundle's process in the foreground, with its exit code. */
    command: Command,
    /** Prints the version. */
    version: v.optional(Command),
    /** Removes what a container that did not end has left. */
    remove: v.optional(Command),
  }),
);

/** @throws Error that names the file and what is wrong in it. */
export function readRuntimesFile(path: string): Commands[] {
  const text = readFileSync(path, "utf8");
  try {
    return parseRuntimes(text);
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

export function parseRuntimes(text: string): Commands[] {
  const parsed = v.safeParse(FileSchema, JSON.parse(text));
  if (!parsed.success) throw new Error(parsed.issues.map((issue) => `${v.getDotPath(issue) ?? "the file"}: ${issue.message}`).join("; "));
  return parsed.output.map(({ name, command, version, remove }) => ({
    name,
    run: filled(command),
    ...(version !== undefined && { version }),
    ...(remove !== undefined && { remove: filled(remove) }),
  }));
}

const filled = (template: readonly string[]): CommandOf => ({ path, rootfs }, id) => {
  const values = { bundle: path, rootfs, id };
  return template.map((word) => word.replaceAll(/\{(bundle|rootfs|id)\}/g, (_, place: (typeof PLACES)[number]) => values[place]));
};
