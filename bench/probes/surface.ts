/** How much of the host's kernel is within reach: by the filters of live processes, and by trying. */
import { syscallName, syscallTable } from "seccomp-bpf-ts";
import type { Outcome, Probe } from "../result.ts";
import type { Runtime } from "../runtimes.ts";
import { PROGRAM, probeBundle, whyOf } from "./container.ts";
import { reachOf } from "./reach.ts";
import { behind, type Behind, type FilteredTask } from "./tasks.ts";

type About = Pick<Probe, "name" | "about">;

const BARE: About = {
  name: "calls within reach of the guest",
  about: "Counts the system calls that the live filters of a running guest task let through to the host's kernel for some arguments; config.json has no seccomp profile.",
};
const PROFILED: About = {
  name: "calls within reach, with an engine's profile",
  about: "The same with a seccomp profile like docker's in config.json, as an engine gives one; a runtime may leave it out of account.",
};
const ANSWERED: About = {
  name: "calls that the runtime answers",
  about: "Counts the system calls that the live filters hand to a process of the runtime's, which answers in the host kernel's place, and never let through.",
};
const TAKEN_OVER: About = {
  name: "calls within reach of a runtime taken over",
  about: "Counts the system calls that the filters of the guest, or of the runtime's own processes that serve it, let through: what a guest has that has taken those over.",
};
const TRIED: About = {
  name: "calls that answer",
  about: "Tries each system call from inside, with arguments that come to nothing, and counts those that do not answer as one that is missing or forbidden.",
};

const ARCH = "x86_64";
const all = [...new Set(syscallTable(ARCH).values())];

/** Starts a container that waits, and reads what stands behind it. */
export async function inspect(runtime: Runtime, profile: boolean): Promise<Behind> {
  using bundle = probeBundle({ args: ["wait"], profile });
  const start = await runtime.start(bundle, "ready", { seconds: 20 });
  if (start.kind === "failed") throw new Error(start.why);
  await using running = start.running;
  return behind(running.pids(), PROGRAM);
}

const allowedBy = ({ filters }: FilteredTask) => reachOf(filters, ARCH, []).allowed;

export function judgeReach({ guest }: Behind): Outcome {
  switch (guest.kind) {
    case "direct": {
      const { allowed, answered, refused } = reachOf(guest.filters, ARCH, guest.answers);
      const by32 = reachOf(guest.filters, "x86", guest.answers).allowed.length;
      const filters = guest.filters.length === 0 ? "no filter" : `${guest.filters.length} ${guest.filters.length === 1 ? "filter" : "filters"}`;
      const more = by32 === 0 ? "none by the 32-bit entry" : `${by32} more by the 32-bit entry`;
      return { verdict: "reached", value: allowed.length, detail: `${filters}: ${refused.length} refused, ${answered.length} answered by the runtime, ${more}` };
    }
    case "stub": {
      const { allowed, answered } = reachOf(guest.filters, ARCH, guest.answers);
      return { verdict: "reached", value: allowed.length, detail: `left to the stub that guest code runs in; ${answered.length} go to a kernel of the runtime's own, which calls the host's for them (see: a runtime taken over)` };
    }
    case "elsewhere":
      return { verdict: "emulated", value: 0, detail: "no task of the host's runs guest code" };
    case "unreadable":
      return { verdict: "unknown", detail: guest.why };
    default:
      return guest satisfies never;
  }
}

function judgeAnswered({ guest }: Behind): Outcome {
  if (guest.kind === "unreadable") return { verdict: "unknown", detail: guest.why };
  if (guest.kind === "elsewhere") return { verdict: "emulated", value: all.length, detail: "no task of the host's runs guest code" };
  const { answered } = reachOf(guest.filters, ARCH, guest.answers);
  const names = answered.map((nr) => syscallName(ARCH, nr));
  const detail = names.length === 0 ? "the host's kernel answers everything" : names.length > 8 ? `${names.length} of ${all.length}` : names.join(", ");
  return { verdict: names.length === 0 ? "reached" : "emulated", value: names.length, detail };
}

export function judgeTakenOver({ guest, servants }: Behind): Outcome {
  if (guest.kind === "unreadable") return { verdict: "unknown", detail: guest.why };
  if (guest.kind === "direct" && guest.filters.length === 0) return { verdict: "reached", value: all.length, detail: "the guest is behind no filter" };
  const own = guest.kind === "elsewhere" ? [] : reachOf(guest.filters, ARCH, []).allowed;
  const union = new Set([...own, ...servants.flatMap(allowedBy)]);
  if (union.size === 0) return { verdict: "unknown", detail: "no process behind a filter was found" };
  const each = servants.map((task) => `${task.name} ${allowedBy(task).length}`).join(", ");
  return { verdict: "reached", value: union.size, detail: servants.length === 0 ? "no process of the runtime's serves the guest" : `the guest ${own.length}, ${each}` };
}

export interface Observation {
  readonly nr: number;
  /** `returned`, `errno`, `signal`, `stuck`, `skipped`. */
  readonly kind: string;
  readonly detail: string;
}

export function parseObservations(stdout: string): Observation[] {
  const lines = stdout.split("\n").map((line) => line.split("\t")).filter((fields) => fields.length >= 2);
  return lines.map(([nr = "", kind = "", detail = ""]) => ({ nr: Number(nr), kind, detail }));
}

/** A kernel that has the call and lets it be made has answered. */
export const hasAnswered = ({ kind, detail }: Observation) => kind === "returned" || kind === "stuck" || (kind === "errno" && detail !== "ENOSYS" && detail !== "EPERM");

export function judgeObserved(observations: readonly Observation[], { guest }: Behind): Outcome {
  const count = (test: (seen: Observation) => boolean) => observations.filter(test).length;
  const skipped = observations.filter(({ kind }) => kind === "skipped").map(({ nr }) => syscallName(ARCH, nr));
  const parts = [`${count(({ detail }) => detail === "ENOSYS")} missing`, `${count(({ detail }) => detail === "EPERM")} forbidden`, `${count(({ kind }) => kind === "signal")} ended the caller`];
  const own = guest.kind === "stub" || guest.kind === "elsewhere";
  return { verdict: own ? "emulated" : "reached", value: count(hasAnswered), detail: `${parts.join(", ")}; not tried: ${skipped.join(", ")}` };
}

async function observe(runtime: Runtime, bare: Behind): Promise<Outcome> {
  using bundle = probeBundle({ args: ["surface", ...all.map(String)] });
  const run = await runtime.run(bundle, { seconds: 30 });
  const observations = parseObservations(run.stdout);
  if (observations.length < all.length) return { verdict: "unknown", detail: `${observations.length} of ${all.length} calls were tried: ${whyOf(run)}` };
  return judgeObserved(observations, bare);
}

export const surface = [
  { about: BARE, judge: async (_runtime: Runtime, bare: Behind) => judgeReach(bare) },
  { about: PROFILED, judge: async (_runtime: Runtime, _bare: Behind, profiled: Behind) => judgeReach(profiled) },
  { about: ANSWERED, judge: async (_runtime: Runtime, bare: Behind) => judgeAnswered(bare) },
  { about: TAKEN_OVER, judge: async (_runtime: Runtime, bare: Behind) => judgeTakenOver(bare) },
  { about: TRIED, judge: observe },
] as const;
