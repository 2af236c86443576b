/** The command line that the benchmarks share. */
import { parseArgs } from "node:util";
import { findRuntimes, type Runtime } from "./runtimes-old.ts";

export interface Options {
  readonly rounds: number;
  /** Processes of all runtimes run on this processor alone. */
  readonly cpu: string | undefined;
  readonly runtimes: readonly Runtime[];
  /** Measurements with these names alone, where the benchmark knows names. */
  readonly only: readonly string[] | undefined;
}

/** `--quick` (one round), `--rounds N`, `--cpu N`, `--runtimes A,B`, `--only A,B`. Says which runtimes this machine does not have. */
export function parseOptions(defaultRounds: number): Options {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { quick: { type: "boolean" }, rounds: text, cpu: text, runtimes: text, only: text } });
  const { runtimes, missing } = findRuntimes();
  if (missing.length > 0) console.log(`not on this machine, left out: ${missing.join(", ")}`);
  const wanted = values.runtimes?.split(",");
  return {
    rounds: Number(values.rounds ?? (values.quick === true ? 1 : defaultRounds)),
    cpu: values.cpu,
    runtimes: wanted === undefined ? runtimes : runtimes.filter(({ name }) => wanted.includes(name)),
    only: values.only?.split(","),
  };
}
