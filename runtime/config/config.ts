/** Reads the configuration. Nearly no host has one: then it costs one open that fails. */
import { readFileSync } from "node:fs";
import { getDotPath, safeParse, type BaseIssue } from "valibot";
import { ENOENT } from "../../linux/abi/errno.ts";
import { isErrno } from "../../linux/errors.ts";
import { isBelow, strongest } from "../sandbox/mode.ts";
import { ConfigError } from "../spec/report.ts";
import { suggest } from "../spec/suggest.ts";
import { ConfigSchema, NO_CONFIG, type Config } from "./schema.ts";

export const CONFIG_FILE = "/etc/tssandbox/config.json";

/**
 * @param optional whether the file may be absent.
 * @throws ConfigError naming file and field; Error where it cannot be read.
 */
export function readConfig(path: string, optional: boolean): Config {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (optional && isErrno(error, ENOENT)) return NO_CONFIG;
    throw error;
  }
  return parseConfig(text, path);
}

/** @throws ConfigError */
export function parseConfig(text: string, path: string): Config {
  const document = parseJson(text, path);
  refuseLists(document, path);
  const parsed = safeParse(ConfigSchema, document, { abortEarly: true });
  if (!parsed.success) throw new ConfigError(path, getDotPath(parsed.issues[0]) ?? "", reason(parsed.issues[0]));
  return checked(parsed.output, path);
}

/** What says more comes second: its values replace those of `base`, but it cannot lower the floor. @throws ConfigError */
export function narrowed(base: Config, own: Config, path: string): Config {
  const floor = strongest([base.floor, own.floor]);
  return checked({ ...base, ...own, ...(floor === undefined ? {} : { floor }), network: { ...base.network, ...own.network }, log: { ...base.log, ...own.log }, tracing: { ...base.tracing, ...own.tracing }, vm: { ...base.vm, ...own.vm } }, path);
}

function checked(config: Config, path: string): Config {
  const { mode, floor } = config;
  if (mode !== undefined && floor !== undefined && isBelow(mode, floor)) throw new ConfigError(path, "mode", `${mode} is below the floor, ${floor}`);
  return config;
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError(path, "", `is not valid JSON: ${(error as Error).message.replaceAll(/\s+/g, " ")}`);
  }
}

/** valibot takes one for an object; no setting is a list. */
function refuseLists(document: unknown, path: string): void {
  const values = typeof document === "object" && document !== null ? Object.entries(document) : [];
  const [field] = Array.isArray(document) ? [""] : (values.find(([, value]) => Array.isArray(value)) ?? []);
  if (field !== undefined) throw new ConfigError(path, field, "must not be a list");
}

function reason(issue: BaseIssue<unknown>): string {
  if (issue.type !== "strict_object") return issue.message.replace(/^Invalid type: Expected (\S+) but received (.*)$/, "must be a $1, is $2");
  const last = issue.path?.at(-1);
  if (last?.origin !== "key") return "must be an object";
  const near = suggest(String(last.key), KEYS);
  return near === undefined ? "there is no such setting" : `there is no such setting (did you mean "${near}"?)`;
}

const KEYS: readonly string[] = [...Object.keys(ConfigSchema.entries), ...Object.keys(ConfigSchema.entries.network.wrapped.entries), ...Object.keys(ConfigSchema.entries.log.wrapped.entries), ...Object.keys(ConfigSchema.entries.tracing.wrapped.entries), ...Object.keys(ConfigSchema.entries.vm.wrapped.entries)];
