/** `tssandbox bench`: which suites, over which runtimes, and where the result goes. */
import { mkdirSync, writeFileSync, writeSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import process from "node:process";
import * as v from "valibot";
import { effectiveUid } from "../linux/credentials.ts";
import { exitNow } from "../linux/process.ts";
import { InvalidArgumentError, integer } from "../runtime/commands/arguments.ts";
import type { Registry } from "../runtime/commands/registry.ts";
import { runBench } from "./bench.ts";
import { compareFiles, DEFAULT_THRESHOLD } from "./compare.ts";
import { makeProgress } from "./progress.ts";
import { reportHtml } from "./report/index.ts";
import { ResultSchema, type Result } from "./result.ts";
import { readRuntimesFile } from "./runtimes-file.ts";
import { knownRuntimes, removeContainers, type Absent, type Commands } from "./runtimes.ts";
import { SUITES } from "./suites/all.ts";
import { formatResult } from "./table.ts";
import { compile, removeWorkDirectory } from "./work.ts";

const PROBES = "probes";
const ROUNDS = 7;
const QUICK_ROUNDS = 3;
const QUICK_RUNTIMES = ["native", "runc", "tssandbox-namespace", "tssandbox-sentry"];

interface Flags {
  readonly quick?: boolean;
  readonly suite?: readonly string[];
  readonly tasks?: readonly string[];
  readonly runtimes?: readonly string[];
  readonly runtimesFile?: string;
  readonly rounds?: number;
  readonly cpu?: number;
  readonly output: string;
}

export function registerBench({ program, action }: Registry): void {
  const names = [...SUITES.map(({ name }) => name), PROBES];
  const bench = program
    .command("bench")
    .description("compare container runtimes, in speed and in what they expose: whatever this machine has")
    .option("--quick", "less than three minutes: native, runc and tssandbox, little work, few rounds")
    .option("--suite <names>", `some of ${names.join(", ")}`, among(names))
    .option("--tasks <names>", "of these suites' tasks only those, as calls, compile, git", list)
    .option("--runtimes <names>", "some of native, runc, crun, runsc-systrap, runsc-ptrace, runsc-kvm, bwrap, tssandbox-MODE, tssandbox-strict, tssandbox-ptrace, and those of the file", list)
    .option("--runtimes-file <file>", 'more runtimes: [{"name": "mine", "command": ["prog", "{bundle}", "{id}"]}]')
    .option("--rounds <number>", `of each measurement (default: ${ROUNDS}, ${QUICK_ROUNDS} with --quick)`, integer(1, 1000))
    .option("--cpu <number>", "keep all processes of all runtimes on this processor", integer(0, 4095))
    .option("--output <dir>", "where result.json and report.html go", "tssandbox-bench")
    .action(action(async (_globals, flags: Flags) => await benchCommand(flags)));
  bench
    .command("compare")
    .argument("<A>", "a result.json, or a stored baseline")
    .argument("<B>", "the other one")
    .description("is B slower than A, or does it expose more? Ratios are compared, not times; the exit code is 1 if so")
    .option("--threshold <percent>", "by how much a ratio may rise", integer(0, 100_000), DEFAULT_THRESHOLD)
    .action(action(async (_globals, a: string, b: string, { threshold }: { threshold: number }) => {
      const { text, code } = compareFiles(a, b, { threshold });
      print(text);
      return code;
    }, COMPARISON_FAILED));
}

/** Not to be taken for a regression. */
const COMPARISON_FAILED = 2;

const list = (text: string): string[] => text.split(",").filter((name) => name !== "");

function among(names: readonly string[]): (text: string) => string[] {
  return (text) => {
    const wanted = list(text);
    const unknown = wanted.filter((name) => !names.includes(name));
    if (unknown.length > 0) throw new InvalidArgumentError(`There is no ${unknown.join(", ")}.`);
    return wanted;
  };
}

async function benchCommand(flags: Flags): Promise<number> {
  if (effectiveUid() !== 0) throw new Error("the bench starts containers of all runtimes as root does: run it as root");
  const quick = flags.quick === true;
  const runtimes = chooseRuntimes(flags);
  if (flags.cpu !== undefined && flags.cpu >= availableParallelism()) throw new Error(`there is no processor ${flags.cpu}`);
  const progress = makeProgress();
  endCleanly();
  try {
    // Without a compiler nothing works: better known before the rest.
    compile("bench/host/hold.c");
    const result = await runBench({
      suites: SUITES.filter(({ name }) => flags.suite?.includes(name) ?? true),
      ...(flags.tasks !== undefined && { tasks: flags.tasks }),
      probes: flags.suite?.includes(PROBES) ?? true,
      runtimes,
      rounds: flags.rounds ?? (quick ? QUICK_ROUNDS : ROUNDS),
      quick,
      cpu: flags.cpu === undefined ? undefined : String(flags.cpu),
      progress,
    });
    progress.end();
    const written = writeOutputs(flags.output, result);
    print(`${formatResult(result)}\n\nwritten: ${written.join(", ")}\n`);
    return 0;
  } finally {
    removeWorkDirectory();
  }
}

/** @returns the files' names. */
function writeOutputs(directory: string, result: Result): string[] {
  const [json, html] = [join(directory, "result.json"), join(directory, "report.html")];
  mkdirSync(directory, { recursive: true });
  writeFileSync(json, `${JSON.stringify(v.parse(ResultSchema, result), null, 1)}\n`);
  writeFileSync(html, reportHtml(result));
  return [json, html];
}

/** All of the machine's and of the file's, or those that are named. @throws where a name is nobody's. */
function chooseRuntimes({ quick, runtimes: names, runtimesFile }: Flags): readonly (Commands | Absent)[] {
  const own = runtimesFile === undefined ? [] : readRuntimesFile(runtimesFile);
  const isWanted = (name: string) => names?.includes(name) ?? (quick !== true || QUICK_RUNTIMES.includes(name));
  const known = knownRuntimes(isWanted);
  const twice = own.find(({ name }) => known.some((other) => other.name === name));
  if (twice !== undefined) throw new Error(`${runtimesFile}: ${twice.name} is the name of a runtime that the bench knows`);
  const all = [...known, ...own.filter(({ name }) => names?.includes(name) ?? true)];
  const unknown = names?.filter((name) => !all.some((one) => one.name === name)) ?? [];
  if (unknown.length > 0) throw new Error(`no such runtime: ${unknown.join(", ")}`);
  return all;
}

/** Held processes end with us (bench/host/hold.c); what runtimes know of their containers, and files, would stay. */
function endCleanly(): void {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    process.once(signal, () => {
      void removeContainers().finally(() => {
        removeWorkDirectory();
        exitNow(code);
      });
    });
  }
}

function print(text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
}
