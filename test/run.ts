/**
 * Runs everything: `npm test`. Or some lanes by name: `node test/run.ts unit kernel`. Installs the Debian packages that the lanes need, and
 * ends with one line: `N passed, N failed`. A skipped test counts as failed: what is not run has not passed.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { ensurePackages } from "./packages.ts";

const root = join(import.meta.dirname, "..");
const bin = join(root, "node_modules/.bin");
const results = join(root, ".cache/results");

/** The commands before the lanes: one test each. */
const CHECKS: readonly (readonly [name: string, ...command: string[]])[] = [
  ["build", process.execPath, "scripts/build.ts"],
  ["typecheck", join(bin, "tsc"), "--noEmit"],
  ["lint", join(bin, "oxlint"), "--deny-warnings"],
];

const LANES = ["unit", "kernel", "sandbox", "hostile", "engines", "qemu"] as const;
type Lane = (typeof LANES)[number];

/** What the tests run on the host, beyond a minimal Debian. Each lane that needs more installs it itself. */
const PACKAGES = ["gcc", "libc6-dev", "busybox-static", "runc", "util-linux", "bsdutils", "iproute2", "procps", "python3", "git", "uidmap", "passwd"];

interface Count {
  passed: number;
  failed: number;
}

/** The part of vitest's JSON report that is read. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly success: boolean;
  readonly testResults: readonly FileResult[];
}

interface FileResult {
  readonly name: string;
  readonly status: string;
  readonly message: string;
  readonly assertionResults: readonly { readonly fullName: string; readonly status: string; readonly failureMessages: readonly string[] }[];
}

/** Printed at the very end, where it is found: what failed, what passed only at its second try, which is a defect too, and failures that are expected. */
const remarks: string[] = [];

function run(command: readonly string[]): boolean {
  const [program = "", ...args] = command;
  const path = `${bin}:${process.env["PATH"] ?? ""}`;
  return spawnSync(program, args, { cwd: root, stdio: "inherit", env: { ...process.env, PATH: path } }).status === 0;
}

function runLane(lane: Lane): Count {
  const file = join(results, `${lane}.json`);
  rmSync(file, { force: true });
  // The slow lanes' tests share a machine with whatever else runs there. A second try is told of below, never silent.
  const ok = run([join(bin, "vitest"), "run", "--project", lane, `--retry=${lane === "unit" ? 0 : 1}`, "--reporter=default", "--reporter=json", `--outputFile.json=${file}`]);
  const report = readReport(file);
  if (report === undefined) return { passed: 0, failed: 1 };
  for (const file of report.testResults) remark(lane, file);
  const failed = report.numFailedTests + report.numPendingTests + report.numTodoTests + report.testResults.filter(failsByItself).length;
  return { passed: report.numPassedTests, failed: failed === 0 && !(ok && report.success) ? 1 : failed };
}

/** Whether a file fails without a test of its own that does: one that cannot be loaded, or whose hooks fail. */
function failsByItself({ status, assertionResults }: FileResult): boolean {
  return status !== "passed" && assertionResults.every(({ status: outcome }) => outcome === "passed");
}

function remark(lane: Lane, file: FileResult): void {
  const { name, message, assertionResults } = file;
  const about = (what: string, test: string, why: string) => remarks.push(`${what}: ${lane} ${name.slice(root.length + 1)} ${test}\n    ${why.split("\n", 4).join("\n    ")}`);
  for (const { fullName, status: outcome, failureMessages } of assertionResults) {
    if (outcome !== "passed") about(outcome, `> ${fullName}`, failureMessages[0] ?? "");
    else if (failureMessages.length > 0) about("passed, but not without a failure (a second try, or one that is expected)", `> ${fullName}`, failureMessages[0] ?? "");
  }
  if (failsByItself(file)) about("failed", "(the file itself)", message);
}

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report;
  } catch {
    return undefined;
  }
}

function chosenLanes(names: readonly string[]): readonly Lane[] {
  const unknown = names.find((name) => !LANES.includes(name as Lane));
  if (unknown !== undefined) throw new Error(`there is no lane ${unknown}; there are ${LANES.join(", ")}`);
  return names.length === 0 ? LANES : LANES.filter((lane) => names.includes(lane));
}

/** Tests also run as ordinary users, who reach no checkout below /root. */
function reachableByAll(path: string): boolean {
  return path === "/" || ((statSync(path).mode & 0o001) !== 0 && reachableByAll(dirname(path)));
}

/** The same, in a mount namespace that has the checkout in a place that everybody reaches. @returns the exit code. */
function runElsewhere(): number {
  const place = mkdtempSync("/opt/tssandbox-checkout-");
  chmodSync(place, 0o755);
  const script = 'mount --bind "$1" "$2" && cd "$2" && shift 2 && exec "$@"';
  const command = [process.execPath, join(place, "test/run.ts"), ...process.argv.slice(2)];
  const result = spawnSync("unshare", ["--mount", "--propagation", "slave", "sh", "-c", script, "sh", root, place, ...command], { stdio: "inherit" });
  rmdirSync(place);
  return result.status ?? 1;
}

const lanes = chosenLanes(process.argv.slice(2));
if (process.getuid?.() !== 0 && lanes.some((lane) => lane !== "unit")) throw new Error("the lanes beyond unit set up containers, and need root");
if (process.getuid?.() === 0 && !reachableByAll(root)) process.exit(runElsewhere());
mkdirSync(results, { recursive: true });
if (process.getuid?.() === 0) await ensurePackages(PACKAGES);

const counts: [string, Count][] = CHECKS.map(([name, ...command]) => [name, run(command) ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }]);
for (const lane of lanes) counts.push([lane, runLane(lane)]);

const total = counts.reduce((sum, [, count]) => ({ passed: sum.passed + count.passed, failed: sum.failed + count.failed }), { passed: 0, failed: 0 });
console.log(`\n${remarks.join("\n")}`);
for (const [name, { passed, failed }] of counts) console.log(`${name.padEnd(10)} ${String(passed).padStart(5)} passed ${String(failed).padStart(5)} failed`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
