/**
 * containerd has one file, and merges what that imports in a way that differs between versions. So a block is added at its end: TOML's tables may come
 * in any order, and nothing of what the administrator wrote is touched. What came of it is asked of containerd itself (`config dump`), before the
 * file is replaced: a handler that was there before and would not be any more (one that only containerd's own defaults had) is added to the block.
 * Source: containerd, docs/cri/config.md.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { CONFIG_FILE, readConfig } from "../../config/config.ts";
import { HANDLERS, LINKS, MARK, type Change, type Engine } from "./engine.ts";
import { ownFile, textOf } from "./files.ts";

const FILE = "/etc/containerd/config.toml";
const handlerFile = (name: string): string => `/etc/tssandbox/handlers/${name}.json`;

/** Of the container that is run to see whether it runs. */
const NAMESPACE = "tssandbox-install-check";

const BEGIN = `# tssandbox: begin (${MARK})`;
const END = "# tssandbox: end";
const BLOCK = /\n*# tssandbox: begin .*\n[\s\S]*?\n# tssandbox: end\n/;

/** The CRI plugin's name, by the version of the file's form. */
const PLUGINS: Readonly<Record<string, string>> = { 2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime" };

export function withoutBlock(text: string): string {
  return text.replace(BLOCK, "\n");
}

/** What a handler says beside its name, and that of its options which names its file. */
interface Form {
  readonly lines: string;
  readonly file: string;
  readonly options: string;
}

const SHIM = join(LINKS, "containerd-shim-tssandbox-v1");

/**
 * containerd 2 asks whether a handler's pods may have a user namespace only where the type is that of its own shim; the program is another one by its path then.
 * Source: containerd, internal/cri/server/service.go, introspectRuntimeFeatures.
 */
const formFor = (major: number, systemdCgroup: boolean): Form =>
  major < 2
    ? { lines: 'runtime_type = "io.containerd.tssandbox.v1"\n', file: "ConfigPath", options: "" }
    : // The kubelet asks containerd who makes the cgroups, which asks the handlers (internal/cri/server/runtime_config_linux.go).
      { lines: `runtime_type = "io.containerd.runc.v2"\nruntime_path = "${SHIM}"\n`, file: "BinaryName", options: systemdCgroup ? "SystemdCgroup = true\n" : "" };

/** @param kept tables of other handlers, as containerd prints them. @param major of containerd. */
export function withBlock(text: string, version: string, kept: string, major: number, systemdCgroup = false): string {
  const plugin = PLUGINS[version];
  if (plugin === undefined) throw new Error(`${FILE}: its version is ${version}; bring it to 2 with: containerd config migrate`);
  const form = formFor(major, systemdCgroup);
  const own = Object.entries(HANDLERS).map(([name, mode]) => {
    const table = `plugins."${plugin}".containerd.runtimes.${name}`;
    const options = `${mode === undefined ? "" : `${form.file} = "${handlerFile(name)}"\n`}${form.options}`;
    return `[${table}]\n${form.lines}pod_annotations = ["dev.tssandbox.*"]\n${options === "" ? "" : `[${table}.options]\n${options}`}`;
  });
  return `${text.trimEnd()}\n\n${BEGIN}\n${[...own, kept].join("")}${END}\n`.trimStart();
}

/** The handlers in what `config dump` prints, each with its tables, whose indentation is only for the eye. */
export function handlersIn(dump: string): Map<string, string> {
  const handlers = new Map<string, string>();
  let name: string | undefined;
  for (const line of dump.split("\n").map((line) => line.trim())) {
    if (line.startsWith("[")) name = /^\[plugins\.["'][^"']+["']\.containerd\.runtimes\.["']?([\w.-]+?)["']?(?:\.options)?\]$/.exec(line)?.[1];
    if (name !== undefined && line !== "") handlers.set(name, `${handlers.get(name) ?? ""}${line}\n`);
  }
  return handlers;
}

const versionOf = (text: string): string => /^\s*version\s*=\s*(\d+)/m.exec(text)?.[1] ?? "1";

/** Of `containerd --version`; 1 where it does not say. Exported for its test. */
export const majorOf = (text: string): number => Number(/ v?(\d+)\.\d+/.exec(text)?.[1] ?? 1);

function containerd(...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync("containerd", args, { encoding: "utf8" });
  if (error !== undefined) throw new Error(`containerd cannot be started: ${error.message}`);
  if (status !== 0) throw new Error(`containerd ${args.join(" ")}: ${stderr.trim()}`);
  return stdout;
}

/** What containerd would make of `text` in the place of its file. */
function dumpOf(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "tssandbox-install-"));
  try {
    writeFileSync(join(directory, "config.toml"), text);
    return containerd("--config", join(directory, "config.toml"), "config", "dump");
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function install(): Change[] {
  const before = textOf(FILE);
  const base = before === undefined ? undefined : withoutBlock(before);
  const dump = base === undefined ? containerd("config", "default") : dumpOf(base);
  const had = handlersIn(dump);
  const taken = Object.keys(HANDLERS).find((name) => had.has(name));
  if (taken !== undefined) throw new Error(`${FILE} has a runtime ${taken} already, which is not of our making: remove it first`);
  const version = versionOf(base ?? dump);
  const systemdCgroup = readConfig(CONFIG_FILE, true).systemdCgroup ?? false;
  const text = (kept: string) => withBlock(base ?? `version = ${version}\n`, version, kept, majorOf(containerd("--version")), systemdCgroup);
  const lost = [...had].filter(([name]) => !handlersIn(dumpOf(text(""))).has(name));
  const after = text(lost.map(([, tables]) => tables).join(""));
  const has = handlersIn(dumpOf(after));
  for (const name of [...had.keys(), ...Object.keys(HANDLERS)]) if (!has.has(name)) throw new Error(`${FILE}: containerd would not have the runtime ${name}; nothing was changed`);
  if (/^\s*disabled_plugins\s*=.*\bcri\b/m.test(dump)) throw new Error(`${FILE}: its disabled_plugins name the CRI plugin, without which there are no handlers`);
  return [...handlerFiles(true), { path: FILE, before, after, ...(before === base ? { backup: "make" } : {}) }];
}

function handlerFiles(wanted: boolean): Change[] {
  return Object.entries(HANDLERS).flatMap(([name, mode]) => (mode === undefined ? [] : [ownFile(handlerFile(name), wanted ? `${JSON.stringify({ mode })}\n` : undefined)]));
}

function uninstall(): Change[] {
  const before = textOf(FILE);
  if (before === undefined) return handlerFiles(false);
  const rest = withoutBlock(before);
  // A file of nothing but a version was not there before us.
  const after = /^\s*version = \d+\s*$/.test(rest) ? undefined : `${rest.trimEnd()}\n`;
  return [...handlerFiles(false), { path: FILE, before, after: BLOCK.test(before) ? after : before, backup: "drop" }];
}

export const containerdEngine: Engine = {
  name: "containerd",
  install,
  uninstall,
  restart: ["systemctl", "restart", "containerd"],
  runs: (root, program) => ({
    command: ["ctr", "--namespace", NAMESPACE, "run", "--rm", "--runtime", "io.containerd.tssandbox.v1", "--rootfs", root, `check-${process.pid}`, program],
    after: ["ctr", "namespaces", "remove", NAMESPACE],
  }),
};
