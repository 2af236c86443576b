/** `install` and `uninstall`: an engine's configuration, so that it knows this runtime. */
import { spawnSync } from "node:child_process";
import type { Command } from "commander";
import { print } from "../print.ts";
import type { Registry } from "../registry.ts";
import { containerdEngine } from "./containerd.ts";
import { crio } from "./crio.ts";
import { docker } from "./docker.ts";
import type { Change, Engine } from "./engine.ts";
import { apply, backupOf, changes } from "./files.ts";
import { leadsTo, makeLink, removeLink, wantedLinks } from "./links.ts";
import { podman } from "./podman.ts";
import { verify } from "./verify.ts";

const ENGINES: readonly Engine[] = [containerdEngine, crio, docker, podman];

interface Flags extends Readonly<Record<string, boolean | undefined>> {
  readonly dryRun?: boolean | undefined;
  readonly restart?: boolean | undefined;
  readonly verify?: boolean | undefined;
}

export function registerInstall({ program, action }: Registry): void {
  withEngines(program.command("install").description("make this runtime known to container engines"))
    .option("--no-verify", "do not run a container afterwards")
    .action(action((_globals, flags: Flags) => install(chosen(flags), flags)));
}

export function registerUninstall({ program, action }: Registry): void {
  withEngines(program.command("uninstall").description("take back what install has changed")).action(action((_globals, flags: Flags) => uninstall(chosen(flags), flags)));
}

function withEngines(command: Command): Command {
  for (const { name } of ENGINES) command.option(`--${name}`, `in ${name}'s configuration`);
  return command.option("--dry-run", "only tell what would be done").option("--restart", "have systemd restart or reload the engine, where it must be");
}

function chosen(flags: Flags): readonly Engine[] {
  const engines = ENGINES.filter(({ name }) => flags[name] === true);
  if (engines.length === 0) throw new Error(`say which engine: ${ENGINES.map(({ name }) => `--${name}`).join(", ")}`);
  return engines;
}

function install(engines: readonly Engine[], flags: Flags): number {
  // All that can be refused is refused before anything is changed.
  const links = wantedLinks().filter((link) => leadsTo(link) !== link.target);
  const plans = engines.map((engine) => [engine, engine.install().filter(changes)] as const);
  for (const link of links) {
    print(`${verb(flags, "link")} ${link.path} to ${link.target}`);
    if (flags.dryRun !== true) makeLink(link);
  }
  for (const [engine, files] of plans) change(engine, files, flags);
  if (flags.dryRun === true || flags.verify === false) return 0;
  return engines.map(tellWhetherItRuns).every(Boolean) ? 0 : 1;
}

function uninstall(engines: readonly Engine[], flags: Flags): number {
  for (const engine of engines) change(engine, engine.uninstall().filter(changes), flags);
  // Whoever is still configured needs them.
  const others = ENGINES.filter((engine) => !engines.includes(engine) && engine.uninstall().some(changes));
  for (const link of others.length > 0 ? [] : wantedLinks().filter((link) => leadsTo(link) !== undefined)) {
    print(`${verb(flags, "remove")} ${link.path}`);
    if (flags.dryRun !== true) removeLink(link);
  }
  return 0;
}

function change(engine: Engine, files: readonly Change[], flags: Flags): void {
  for (const file of files) {
    print(describe(file, flags));
    if (flags.dryRun !== true) apply(file);
  }
  if (files.length === 0) print(`${engine.name}: nothing to change`);
  else takeNotice(engine, flags);
}

/** Of a new file all that is in it; of another, the lines that come and go. */
function describe({ path, before, after, backup }: Change, flags: Flags): string {
  const old = new Set(before?.split("\n"));
  const now = new Set(after?.split("\n"));
  const lines = [...[...old].filter((line) => !now.has(line)).map((line) => `  - ${line}`), ...[...now].filter((line) => !old.has(line)).map((line) => `  + ${line}`)];
  const copy = backup === "make" && before !== undefined ? ` (as it was: ${backupOf(path)})` : "";
  return [`${verb(flags, before === undefined ? "write" : after === undefined ? "remove" : "change")} ${path}${copy}`, ...lines.filter((line) => line.trim().length > 1)].join("\n");
}

const verb = ({ dryRun }: Flags, word: string): string => (dryRun === true ? `would ${word}` : word);

function takeNotice({ name, restart }: Engine, { restart: wanted, dryRun }: Flags): void {
  if (restart === undefined) return;
  const command = restart.join(" ");
  if (wanted !== true) return print(`${name} takes notice after: ${command}`);
  print(`${verb({ dryRun }, "run")} ${command}`);
  if (dryRun === true) return;
  const [program = "", ...args] = restart;
  const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command}: ${error?.message ?? stderr.trim()}`);
}

function tellWhetherItRuns(engine: Engine): boolean {
  if (engine.runs("", "") === undefined) {
    print(`${engine.name}: not verified: it has no client that runs a container without an image`);
    return true;
  }
  const failure = verify(engine);
  print(failure === undefined ? `${engine.name}: a container has run` : `${engine.name}: no container runs: ${failure}`);
  return failure === undefined;
}
