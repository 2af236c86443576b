/** From the command to its end, with a program that does nothing; and from the command to the first that the program prints. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { BenchBundle } from "../bundle.ts";
import { plainBundle } from "../bundle.ts";
import { hold } from "../hold.ts";
import { installed } from "../installed.ts";
import type { Found, Task } from "../rounds.ts";
import { failureOf, type Runtime } from "../runtimes.ts";
import type { Suite, SuiteOptions } from "../suite.ts";
import { workDirectory } from "../work.ts";
import { residentTasks } from "./resident.ts";

const SECONDS = 60;
/** Of hyperfine, in each round. */
const RUNS = 3;

export const start: Suite = {
  name: "start",
  about: "cold command, first output, a parent that lives",
  roundsEach: 3,
  prepare(options) {
    const bundles = new DisposableStack();
    const nothing = bundles.use(plainBundle("true"));
    const hello = bundles.use(plainBundle("hello"));
    const resident = bundles.use(residentTasks(nothing, options));
    return {
      tasks: [toExit(nothing, options), toFirstOutput(hello, options), ...resident.tasks, ...byHyperfine(nothing, options)],
      [Symbol.dispose]: () => bundles.dispose(),
    };
  },
};

const toExit = (bundle: BenchBundle, { cpu }: SuiteOptions): Task<Runtime> => ({
  name: "start to exit",
  measure: async (runtime) => timeOf(await runtime.run(bundle, { seconds: SECONDS, cpu }), "start to exit", ({ milliseconds }) => milliseconds),
});

const toFirstOutput = (bundle: BenchBundle, { cpu }: SuiteOptions): Task<Runtime> => ({
  name: "start to first output",
  measure: async (runtime) => timeOf(await runtime.run(bundle, { seconds: SECONDS, cpu }), "start to first output", ({ firstOutput }) => firstOutput),
});

type Run = Awaited<ReturnType<Runtime["run"]>>;

function timeOf(run: Run, name: string, take: (run: Extract<Run, { kind: "ended" }>) => number | undefined): Found {
  if (run.kind === "failed") return { readings: [], failure: run.why, hopeless: true };
  if (run.code !== 0) return { readings: [], failure: failureOf(run) };
  const value = take(run);
  return value === undefined ? { readings: [], failure: "no output" } : { readings: [{ name, unit: "ms", value }] };
}

/** The same as "start to exit" by somebody else's clock: hyperfine(1), without a shell between. */
function byHyperfine(bundle: BenchBundle, { cpu, note }: SuiteOptions): Task<Runtime>[] {
  const hyperfine = installed("hyperfine");
  if (hyperfine === undefined) {
    note("start: hyperfine is not installed, so that whole commands were timed by the bench alone");
    return [];
  }
  const name = "start to exit, by hyperfine";
  return [{ name, measure: (runtime) => hyperfineTimes(hyperfine, name, runtime.command(bundle), cpu) }];
}

async function hyperfineTimes(hyperfine: string, name: string, command: readonly string[], cpu: string | undefined): Promise<Found> {
  const file = join(workDirectory(), "hyperfine.json");
  rmSync(file, { force: true });
  const run = await hold([hyperfine, "-N", "--warmup", "0", "--runs", String(RUNS), "--export-json", file, command.map(quoted).join(" ")], { seconds: SECONDS, cpu });
  if (run.kind === "failed") return { readings: [], failure: run.why, hopeless: true };
  if (run.code !== 0) return { readings: [], failure: failureOf(run) };
  const { results } = JSON.parse(readFileSync(file, "utf8")) as { results: [{ median: number }] };
  return { readings: [{ name, unit: "ms", value: results[0].median * 1000 }] };
}

/** It splits the command as a shell would. */
const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
