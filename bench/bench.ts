/** A run of the bench: the suites, one after another, over all runtimes; then the probes. */
import { loadavg } from "node:os";
import { Collection } from "./collection.ts";
import { describeMachine } from "./machine.ts";
import { probe, probeNotes } from "./probes/index.ts";
import type { Progress } from "./progress.ts";
import type { Probe, Result } from "./result.ts";
import { runRounds } from "./rounds.ts";
import { tryRuntimes, type Absent, type Commands, type Runtime } from "./runtimes.ts";
import type { Prepared, Suite, SuiteOptions } from "./suite.ts";

export interface BenchOptions {
  readonly suites: readonly Suite[];
  /** Names; in its absence all that the suites have. */
  readonly tasks?: readonly string[];
  readonly probes: boolean;
  readonly runtimes: readonly (Commands | Absent)[];
  readonly rounds: number;
  readonly quick: boolean;
  /** The only processor that all runtimes may use. */
  readonly cpu: string | undefined;
  readonly progress: Progress;
}

export async function runBench({ suites, tasks: named, probes: probing, runtimes: all, rounds, quick, cpu, progress }: BenchOptions): Promise<Result> {
  const started = new Date();
  const machine = describeMachine();
  const notes = cpu === undefined ? [] : [`all processes of all runtimes on processor ${cpu}`];
  const collection = new Collection();
  progress.say("which runtimes work here");
  const { runtimes, leftOut } = await tryRuntimes(all, { cpu });
  for (const { name, why } of leftOut) progress.say(`${name} is left out: ${why}`);
  const options: SuiteOptions = { quick, cpu, note: (text) => notes.push(text) };
  const deadline = quick ? performance.now() + QUICK_SECONDS * 1000 : Infinity;
  const missing = new Set(named);
  for (const suite of suites) await runSuite(suite, runtimes, { collection, rounds, options, progress, deadline, named, missing });
  for (const name of missing) notes.push(`no suite of these has a task ${name}`);
  const probes = probing ? await runProbes(runtimes, options, progress) : [];
  return {
    version: 1,
    started: started.toISOString(),
    seconds: Math.round((Date.now() - started.getTime()) / 100) / 10,
    rounds,
    quick,
    machine: { ...machine, loadAfter: loadavg() },
    runtimes: describeRuntimes(all, runtimes, leftOut),
    measurements: collection.measurements(),
    probes,
    notes,
  };
}

/** Of a quick run: after this long no suite begins anything, so that the probes have the rest of three minutes. */
const QUICK_SECONDS = 110;
/** And so long each suite begins new rounds. */
const QUICK_SUITE_SECONDS = 12;

interface Run {
  readonly collection: Collection;
  readonly rounds: number;
  readonly options: SuiteOptions;
  readonly progress: Progress;
  readonly deadline: number;
  readonly named: readonly string[] | undefined;
  /** Those of them that no suite has had yet. */
  readonly missing: Set<string>;
}

/** A suite that cannot be prepared is a note, not the end. */
async function runSuite(suite: Suite, runtimes: readonly Runtime[], { collection, rounds, options, progress, deadline, named, missing }: Run): Promise<void> {
  progress.say(`${suite.name}: ${suite.about}`);
  const count = options.quick && suite.quickRounds !== undefined ? suite.quickRounds : rounds * (suite.roundsEach ?? 1);
  const until = options.quick ? performance.now() + QUICK_SUITE_SECONDS * 1000 : Infinity;
  try {
    using prepared: Prepared = await suite.prepare(options);
    const tasks = prepared.tasks.filter(({ name }) => named?.includes(name) ?? true);
    for (const { name } of tasks) missing.delete(name);
    const done = await runRounds(tasks, runtimes, collection, {
      suite: suite.name,
      count,
      warmUp: suite.warmUp ?? true,
      until,
      deadline,
      onStep: (round, task, runtime) => progress.step(`${suite.name}: ${round < 0 ? "warm-up" : `round ${round + 1} of ${count}`}: ${task}: ${runtime}`),
    });
    if (done < count) options.note(`${suite.name}: ${done} whole rounds of ${count}, for lack of time`);
  } catch (error) {
    options.note(`${suite.name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Like a suite: what cannot be prepared is a note, not the end. */
async function runProbes(runtimes: readonly Runtime[], { quick, note }: SuiteOptions, progress: Progress): Promise<Probe[]> {
  progress.say("probes: what each runtime exposes of the host");
  const probes: Probe[] = [];
  try {
    for await (const one of probe(runtimes, { quick, progress: (what) => progress.step(`probes: ${what}`) })) probes.push(one);
    for (const text of probeNotes(runtimes, quick)) note(text);
  } catch (error) {
    note(`probes: ${error instanceof Error ? error.message : String(error)}`);
  }
  return probes;
}

/** In the order of the list. */
function describeRuntimes(all: readonly { readonly name: string }[], runtimes: readonly Runtime[], leftOut: readonly { name: string; version: string | undefined; why: string }[]): Result["runtimes"] {
  return all.map(({ name }) => {
    const out = leftOut.find((one) => one.name === name);
    const version = runtimes.find((one) => one.name === name)?.version ?? out?.version;
    return { name, ...(version !== undefined && { version }), ...(out !== undefined && { leftOut: out.why }) };
  });
}
