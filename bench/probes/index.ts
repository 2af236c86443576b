/**
 * The security half of the bench: for each runtime what of the host is within reach, told, given way, and taken. Every probe is the same program,
 * started by every runtime as an engine would start it (`container.ts`).
 */
import type { Outcome, Probe } from "../result.ts";
import type { Runtime } from "../runtimes.ts";
import { probeProgram } from "./container.ts";
import { ESCAPES } from "./escape-table.ts";
import { tryDirectories, tryEscapes, tryExec, tryMountRace } from "./escapes.ts";
import { findLeaks, LEAKS } from "./leaks.ts";
import { attackNeighbour, ATTACKS } from "./resources.ts";
import { inspect, surface } from "./surface.ts";
import type { Behind } from "./tasks.ts";

export interface ProbeOptions {
  readonly quick: boolean;
  /** What is being done, for a display. */
  readonly progress: (what: string) => void;
}

/** Not a container: what is tried here is harmless in one, and root's attempts on the host itself are not. */
const NATIVE = "native";

/** What the probes of one runtime go by. */
interface Subject {
  readonly runtime: Runtime;
  readonly bare: Behind;
  readonly profiled: Behind;
}

type Outcomes = Record<string, Outcome>;

/** The runtimes that were started, and for the others why they were not. */
class Subjects {
  readonly ready: Subject[] = [];
  readonly #failed: Outcomes = {};

  async add(runtime: Runtime): Promise<void> {
    if (runtime.name === NATIVE) return;
    try {
      this.ready.push({ runtime, bare: await inspect(runtime, false), profiled: await inspect(runtime, true) });
    } catch (error) {
      this.#failed[runtime.name] = { verdict: "unknown", detail: `did not start: ${oneLine(error)}` };
    }
  }

  /** Of every runtime, one after the other; what fails costs that runtime's outcome. */
  async outcomes(what: string, { progress }: ProbeOptions, judge: (subject: Subject) => Promise<Outcome>): Promise<Outcomes> {
    const outcomes: Outcomes = { ...this.#failed };
    for (const subject of this.ready) {
      progress(`${what}: ${subject.runtime.name}`);
      outcomes[subject.runtime.name] = await judge(subject).catch((error: unknown): Outcome => ({ verdict: "unknown", detail: oneLine(error) }));
    }
    return outcomes;
  }

  /** The same for many outcomes that come of one run. @param names of all of them. */
  async batch(what: string, options: ProbeOptions, names: readonly string[], judge: (subject: Subject) => Promise<Map<string, Outcome>>): Promise<Map<string, Outcomes>> {
    const found = new Map<string, Outcomes>(names.map((name) => [name, { ...this.#failed }]));
    for (const subject of this.ready) {
      options.progress(`${what}: ${subject.runtime.name}`);
      const outcomes = await judge(subject).catch((error: unknown) => new Map(names.map((name): [string, Outcome] => [name, { verdict: "unknown", detail: oneLine(error) }])));
      for (const [name, outcome] of outcomes) Object.assign(found.get(name) ?? {}, { [subject.runtime.name]: outcome });
    }
    return found;
  }
}

const oneLine = (error: unknown) => (error instanceof Error ? error.message : String(error)).split("\n").at(0)?.slice(0, 200) ?? "";

async function* probeSurface(subjects: Subjects, options: ProbeOptions): AsyncIterable<Probe> {
  for (const { about, judge } of surface) {
    yield { area: "surface", ...about, unit: "calls", outcomes: await subjects.outcomes("surface", options, ({ runtime, bare, profiled }) => judge(runtime, bare, profiled)) };
  }
}

async function* probeLeaks(subjects: Subjects, options: ProbeOptions): AsyncIterable<Probe> {
  const found = await subjects.batch("leaks", options, LEAKS.map(({ name }) => name), ({ runtime }) => findLeaks(runtime));
  for (const { name, about, families } of LEAKS) yield { area: "leaks", name, about, ...(families !== undefined && { families: [...families] }), outcomes: found.get(name) ?? {} };
}

async function* probeEscapes(subjects: Subjects, options: ProbeOptions): AsyncIterable<Probe> {
  const found = await subjects.batch("escapes", options, ESCAPES.map(({ attempt }) => attempt), ({ runtime, profiled }) => tryEscapes(runtime, profiled, {}));
  for (const { attempt, name, about, families } of ESCAPES) yield { area: "escapes", name, about, ...(families !== undefined && { families: [...families] }), outcomes: found.get(attempt) ?? {} };
  yield {
    area: "escapes",
    name: "started in a directory of the host",
    about: "Has containers started in /proc/self/fd/N, which is outside where the runtime has left a directory of the host open.",
    families: ["CVE-2024-21626"],
    outcomes: await subjects.outcomes("escapes: working directory", options, ({ runtime }) => tryDirectories(runtime, options.quick)),
  };
  yield {
    area: "escapes",
    name: "overwriting the runtime (/proc/PID/exe)",
    about: "Looks at the processes that enter the container by exec: whether their image is the runtime's own program and could be written, which is asked and not done.",
    families: ["CVE-2019-5736", "CVE-2016-9962"],
    outcomes: await subjects.outcomes("escapes: exec", options, ({ runtime }) => tryExec(runtime)),
  };
  if (options.quick) return;
  yield {
    area: "escapes",
    name: "race for a mount in a volume",
    about: "Exchanges a directory of a volume for a link to a directory made for this, while containers are started that mount on it.",
    families: ["CVE-2021-30465", "CVE-2024-45310"],
    outcomes: await subjects.outcomes("escapes: mount race", options, ({ runtime }) => tryMountRace(runtime)),
  };
}

async function* probeResources(subjects: Subjects, options: ProbeOptions): AsyncIterable<Probe> {
  for (const attack of ATTACKS) {
    if (options.quick && !attack.quick) continue;
    const outcomes = await subjects.outcomes(attack.name, options, ({ runtime }) => attackNeighbour(runtime, attack, options.quick));
    yield { area: "resources", name: attack.name, about: `${attack.about} The value is a neighbour's time for a small job meanwhile, against before.`, unit: "ratio", outcomes };
  }
}

/** What is left out and why, one line each, for a result's notes. */
export function probeNotes(runtimes: readonly Runtime[], quick: boolean): string[] {
  const native = runtimes.some(({ name }) => name === NATIVE) ? ["probes: not made natively: they are harmless in a container, and not as root on the host itself"] : [];
  const attacks = ATTACKS.filter((attack) => !attack.quick).map(({ name }) => name);
  return [...native, ...(quick ? [`probes: not made in quick mode: ${attacks.join(", ")}, race for a mount in a volume; fewer starts for the working directory`] : [])];
}

/** @throws Error where the probe cannot be compiled. A runtime that fails has its reason in each outcome. */
export async function* probe(runtimes: readonly Runtime[], options: ProbeOptions): AsyncIterable<Probe> {
  probeProgram();
  const subjects = new Subjects();
  for (const runtime of runtimes) {
    if (runtime.name !== NATIVE) options.progress(`filters: ${runtime.name}`);
    await subjects.add(runtime);
  }
  yield* probeSurface(subjects, options);
  yield* probeLeaks(subjects, options);
  yield* probeEscapes(subjects, options);
  yield* probeResources(subjects, options);
}
