/** What a suite of the bench is. */
import type { BenchBundle } from "./bundle.ts";
import { readings } from "./collection.ts";
import type { Found, Task } from "./rounds.ts";
import { failureOf, type Runtime } from "./runtimes.ts";

export interface SuiteOptions {
  readonly quick: boolean;
  /** The only processor that all may use. */
  readonly cpu: string | undefined;
  /** Tells what is not done, and why. */
  readonly note: (text: string) => void;
}

export interface Prepared extends Disposable {
  readonly tasks: readonly Task<Runtime>[];
}

export interface Suite {
  readonly name: string;
  /** For those who choose. */
  readonly about: string;
  /** Rounds for each one that was asked for: what is short is done often. */
  readonly roundsEach?: number;
  /** With --quick so many rounds, whatever was asked for. */
  readonly quickRounds?: number;
  /** A round before the others, of which nothing is kept: unless told otherwise. */
  readonly warmUp?: boolean;
  prepare(options: SuiteOptions): Prepared | Promise<Prepared>;
}

/** A task that runs a bundle whose program prints readings. */
export const guestTask = (name: string, bundle: () => BenchBundle, seconds: number, { cpu }: SuiteOptions): Task<Runtime> => ({
  name,
  measure: async (runtime) => readingsOf(await runtime.run(bundle(), { seconds, cpu })),
});

function readingsOf(run: Awaited<ReturnType<Runtime["run"]>>): Found {
  const found = readings(run.stdout);
  if (run.kind === "failed") return { readings: found, failure: run.why, hopeless: true };
  if (run.code !== 0) return { readings: found, failure: failureOf(run) };
  return { readings: found, ...(found.length === 0 && { failure: "the program has printed no value" }) };
}
