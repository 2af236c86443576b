// Runs vitest inside the machine and shows each inner test as a test of its own outside.

import { describe, test } from "vitest";

import { REPOSITORY } from "./images.ts";
import { runInMachine } from "./machine.ts";
import type { CommandResult, Machine } from "./machine.ts";

/** vitest's JSON report, as far as it is used: https://vitest.dev/guide/reporters#json-reporter */
interface Report {
  readonly testResults: readonly FileReport[];
}

interface FileReport {
  readonly name: string;
  readonly status: string;
  readonly message: string;
  readonly assertionResults: readonly TestReport[];
}

interface TestReport {
  readonly fullName: string;
  readonly status: string;
  readonly failureMessages: readonly string[];
}

export interface InnerRun {
  /** Test files, relative to the repository; each must run at least one test. */
  readonly files: readonly string[];
  /** Parts of full names of tests that do not run inside, with the reason. An entry that matches no test fails. */
  readonly skips?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Longest that the inner run may take, in seconds. */
  readonly seconds: number;
}

/** What became of one inner test: `failure` says why it counts as failed. */
export interface Verdict {
  readonly file: string;
  readonly name: string;
  readonly failure?: string;
  /** What failed at the inner test's first try, where the second passed. */
  readonly firstTry?: string;
}

const REPORT = "/run/vitest.json";

/** An emulated CPU is some ten times slower: what a test allows itself outside is not enough inside. */
const TEST_SECONDS = 300;

/** Runs the files in the machine, then declares one test for each inner test. Called while tests are collected. */
export async function describeInside(machine: Machine, run: InnerRun): Promise<void> {
  const verdicts = await runInside(machine, run);
  for (const [file, ofFile] of Map.groupBy(verdicts, (verdict) => verdict.file)) {
    describe(file, () => {
      for (const { name, failure, firstTry } of ofFile) {
        // The tries of the inner test are shown as tries of this one, so that a second try is told of as everywhere.
        const failures = failure !== undefined ? [failure, failure] : firstTry !== undefined ? [firstTry] : [];
        test(name, { retry: 1 }, () => {
          const next = failures.shift();
          if (next !== undefined) throw innerError(next);
        });
      }
    });
  }
}

/** An error with the inner stack alone, in the paths of this checkout, so that vitest quotes the inner test's source. */
function innerError(failure: string): Error {
  const here = failure.replaceAll(/(file:\/\/)?\/repo\//g, `${REPOSITORY}/`);
  const message = here.split("\n").filter((line) => !/^\s+at /.test(line)).join("\n");
  return Object.assign(new Error(message), { stack: here });
}

async function runInside(machine: Machine, run: InnerRun): Promise<Verdict[]> {
  const limit = TEST_SECONDS * 1000;
  const flags = [
    "run --project kernel --configLoader native --maxWorkers 2 --retry 1",
    `--testTimeout ${limit} --hookTimeout ${limit}`,
    `--reporter default --reporter json --outputFile.json ${REPORT}`,
  ].join(" ");
  const environment = { NO_COLOR: "1", TSSANDBOX_IN_QEMU: "1", ...run.env };
  const command = ["vitest", ...flags.split(" "), ...nameFilter(Object.keys(run.skips ?? {})), ...run.files];
  const result = await runInMachine(machine, command, { seconds: run.seconds, env: environment });
  // The JSON report has no diffs; vitest's own output has.
  if (result.status !== 0) process.stderr.write(`--- vitest inside ---\n${result.stdout}${result.stderr}---\n`);
  const report = await machine.runScript(`cat ${REPORT}`);
  return judge(run, result, report.status === 0 ? (JSON.parse(report.stdout) as Report) : undefined);
}

/** vitest's option to run every test but those whose full name contains one of `parts`. */
function nameFilter(parts: readonly string[]): string[] {
  return parts.length === 0 ? [] : ["--testNamePattern", `^(?!.*(?:${parts.map((part) => RegExp.escape(part)).join("|")}))`];
}

/**
 * One verdict for each inner test, and one for each way in which a run as a whole can be wrong: no report, a file that
 * did not load or ran no test, a stale entry in the list of skips, an exit status that no failed test explains.
 */
export function judge(run: InnerRun, result: CommandResult, report: Report | undefined): Verdict[] {
  const output = `exit status ${result.status}\n${lastLines(result.stdout)}\n${lastLines(result.stderr)}`;
  if (report === undefined) return [{ file: "vitest", name: "writes a report", failure: output }];
  const verdicts = run.files.flatMap((file) => judgeFile(run, file, report));
  verdicts.push(...staleSkips(run, report));
  const explained = result.status === 0 || verdicts.some((verdict) => verdict.failure !== undefined);
  return [...verdicts, { file: "vitest", name: "ends well", ...(explained ? {} : { failure: output }) }];
}

function judgeFile(run: InnerRun, file: string, report: Report): Verdict[] {
  const found = report.testResults.find(({ name }) => name.endsWith(`/${file}`));
  if (found === undefined) return [{ file, name: "runs", failure: "not in the report: no such file in this lane" }];
  const tests = found.assertionResults;
  const loaded = tests.length > 0 && (found.status === "passed" || tests.some(({ status }) => status === "failed"));
  const whole: Verdict = { file, name: "runs", ...(loaded ? {} : { failure: found.message || "it has no test" }) };
  return [whole, ...tests.map((inner) => ({ file, name: inner.fullName, ...judgeTest(run, inner) }))];
}

function judgeTest(run: InnerRun, inner: TestReport): { failure?: string; firstTry?: string } {
  if (inner.status === "passed") return inner.failureMessages.length === 0 ? {} : { firstTry: inner.failureMessages.join("\n") };
  if (inner.status === "failed") return { failure: inner.failureMessages.join("\n") };
  if (Object.keys(run.skips ?? {}).some((part) => inner.fullName.includes(part))) return {};
  return { failure: `did not run inside (${inner.status}), and no reason is listed` };
}

function staleSkips(run: InnerRun, report: Report): Verdict[] {
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const skipped = tests.filter(({ status }) => status !== "passed" && status !== "failed");
  return Object.entries(run.skips ?? {})
    .filter(([part]) => !skipped.some(({ fullName }) => fullName.includes(part)))
    .map(([name, reason]) => ({ file: "skips", name, failure: `listed as skipped (${reason}), but was not skipped` }));
}

function lastLines(text: string): string {
  return text.trimEnd().split("\n").slice(-60).join("\n");
}
