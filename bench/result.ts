/**
 * What a run of the bench has found: the JSON that it writes, and all that its table, its report and its comparison are made from.
 * A value is never left out silently: a runtime that is missing, fails or hangs has its reason here.
 */
import * as v from "valibot";

const Name = v.pipe(v.string(), v.nonEmpty());
const byRuntime = <T extends v.GenericSchema>(schema: T) => v.record(Name, schema);

const MachineSchema = v.strictObject({
  /** `uname -r`. */
  kernel: v.string(),
  architecture: v.string(),
  /** `model name` of /proc/cpuinfo. */
  processor: v.string(),
  processors: v.number(),
  /** Bytes. */
  memory: v.number(),
  /** PRETTY_NAME of /etc/os-release. */
  system: v.string(),
  /** The three load averages, before and after. */
  loadBefore: v.array(v.number()),
  loadAfter: v.array(v.number()),
});

const RuntimeSchema = v.strictObject({
  /** As in the keys of `samples` and `outcomes`: `native`, `runc`, `crun`, `runsc-systrap`, `bwrap`, `tssandbox-sentry`, or as the user's file says. */
  name: Name,
  /** As the runtime itself tells it, one line. */
  version: v.optional(v.string()),
  /** Why nothing of it was measured. */
  leftOut: v.optional(v.string()),
});

/** Units, and which way is better: of time and memory less, of work in a time more. */
export const UNITS = { ns: "less", us: "less", ms: "less", s: "less", KiB: "less", MiB: "less", count: "less", "req/s": "more", "op/s": "more", "MiB/s": "more", "starts/s": "more" } as const;
export type Unit = keyof typeof UNITS;

const SamplesSchema = v.strictObject({
  /** One for each round that came to an end, in order: outliers are kept. Index i of two runtimes is of the same round only where neither failed. */
  rounds: v.array(v.strictObject({ round: v.number(), value: v.number() })),
  /** What went wrong, one for each round that did: "timed out after 60 s", "exit code 1: ...". */
  failures: v.array(v.strictObject({ round: v.number(), why: v.string() })),
});

const MeasurementSchema = v.strictObject({
  /** `start`, `syscalls`, `files`, `processes`, `network`, `workloads`, `density`. */
  suite: Name,
  name: Name,
  unit: v.picklist(Object.keys(UNITS) as [Unit, ...Unit[]]),
  samples: byRuntime(SamplesSchema),
});

/** From safest to most exposed. `unknown`: the probe could not tell, and says why in `detail`. */
export const VERDICTS = ["blocked", "emulated", "hidden", "allowed", "leaks", "reached", "unknown"] as const;
export type Verdict = (typeof VERDICTS)[number];

const OutcomeSchema = v.strictObject({
  /**
   * `blocked`: refused. `emulated`: answered by a kernel that is not the host's. `hidden`: of a leak, the host's value is not to be had. `allowed`: of a
   * resource attack, contained, and neighbours are served. `leaks`: the host's value is told. `reached`: the host kernel itself acts on it.
   */
  verdict: v.picklist(VERDICTS),
  /** Blocked by what: `seccomp`, `capability`, `namespace`, `sentry`, `EPERM`, ...; or what was seen. One line. */
  detail: v.optional(v.string()),
  /** Where the probe counts or measures: its unit is the probe's. */
  value: v.optional(v.number()),
});

const ProbeSchema = v.strictObject({
  /** `surface`, `leaks`, `escapes`, `resources`. */
  area: v.picklist(["surface", "leaks", "escapes", "resources"]),
  name: Name,
  /** What the probe does, for a reader who wants to know that it is harmless: a sentence. */
  about: v.string(),
  /** The published escapes that stood on this: CVE-2022-0185, ... */
  families: v.optional(v.array(v.string())),
  /** Of `value`. */
  unit: v.optional(v.string()),
  outcomes: byRuntime(OutcomeSchema),
});

export const ResultSchema = v.strictObject({
  /** Of this format. */
  version: v.literal(1),
  /** ISO 8601. */
  started: v.string(),
  seconds: v.number(),
  /** Rounds of the speed suites. */
  rounds: v.number(),
  quick: v.boolean(),
  machine: MachineSchema,
  runtimes: v.array(RuntimeSchema),
  measurements: v.array(MeasurementSchema),
  probes: v.array(ProbeSchema),
  /** What was not done and why, one line each: a suite without its tool, hyperfine absent. */
  notes: v.array(v.string()),
});

export type Result = v.InferOutput<typeof ResultSchema>;
export type Measurement = Result["measurements"][number];
export type Samples = Measurement["samples"][string];
export type Probe = Result["probes"][number];
export type Outcome = Probe["outcomes"][string];
