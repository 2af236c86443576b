/**
 * `npm run bench:workloads`: what real programs cost (bench/guest/*.sh) in a Debian on tmpfs, on its root file system and, for git and tar, on
 * a shared volume, beside other runtimes. Each is run in a container of its own; rounds are interleaved; the ratios are what counts.
 */
import { likeAnEngine, makeBundle, withArgs } from "./bundle.ts";
import { parseOptions, type Options } from "./options.ts";
import { runBundle } from "./runtimes-old.ts";
import { Samples, type Goal } from "./samples.ts";
import { fillTree, fillWorkloadsRoot, prepareDebian } from "./workloads-root.ts";

const ROUNDS = 5;
/** Places are pairs of group and directory. */
const PLACES = { git: ["root", "/root", "volume", "/volume"], tar: ["root", "/bench", "volume", "/volume"] } as const;
const WORKLOADS: Readonly<Record<string, readonly string[]>> = {
  compile: [], git: PLACES.git, tar: PLACES.tar, sqlite: [], python: [], node: [], redis: [], nginx: [], fio: [],
};

const GOALS: readonly (readonly [name: RegExp, goal: Goal])[] = [
  [/^volume: (git|tar)/, { than: "runsc", atMost: 0.5 }],
  [/^root: (make|python3|node|redis|nginx|fio randread 4k, cached|fio randwrite)/, { than: "runc", atMost: 1.15 }],
  [/^root: sqlite/, { than: "runc", atMost: 1.3 }],
  [/^root: git/, { than: "runc", atMost: 1.35 }],
  [/^root: tar/, { than: "runc", atMost: 1.6 }],
];

function measure({ rounds, runtimes, cpu, only }: Options, debian: string): Samples {
  using bundle = makeBundle({ args: ["true"], fill: (rootfs) => fillWorkloadsRoot(rootfs, debian), fillVolume: fillTree, edit: likeAnEngine });
  const samples = new Samples();
  const workloads = Object.entries(WORKLOADS).filter(([name]) => only?.includes(name) ?? true);
  for (let round = 0; round < rounds; round++) {
    for (const [name, places] of workloads) {
      const workload = withArgs(bundle, ["bash", `/bench/${name}.sh`, ...places]);
      for (const runtime of runtimes) samples.take(runtime.name, runBundle(runtime, workload, cpu));
    }
  }
  return samples;
}

const options = parseOptions(ROUNDS);
const { rounds, cpu, runtimes } = options;
const goalOf = (name: string): Goal | undefined => GOALS.find(([pattern]) => pattern.test(name))?.[1];
measure(options, await prepareDebian()).publish("workloads", runtimes.map(({ name }) => name), { rounds, cpu, goalOf });
