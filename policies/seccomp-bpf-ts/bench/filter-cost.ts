// What a filter costs for each system call: this compiler against libseccomp, on the same rules.
//
//   apt-get install gcc libseccomp-dev && node bench/filter-cost.ts
//
// The rules are those of namespace mode's default profile (policies/profiles), which equals docker's but for how sockets
// are checked. Times are processor time, the best of many
// short interleaved rounds, as other load only adds; instruction counts come from the simulator.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { defaultProfile } from "../../profiles/namespace-default.ts";
import { compile, encodeVerdict, formatVerdict, importOci, simulator, syscallNumber, syscallTable } from "../src/index.ts";
import type { ArgCheck, ArchName, Policy, Rule } from "../src/index.ts";

const ROUNDS = 40;
const ITERATIONS = 20_000;

const capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETUID", "CAP_SYS_CHROOT"];

const directory = mkdtempSync(join(tmpdir(), "filter-cost-"));

function build(name: string, ...libraries: string[]): string {
  const binary = join(directory, name);
  execFileSync("gcc", ["-O2", "-Wall", "-o", binary, join(import.meta.dirname, `${name}.c`), ...libraries], { stdio: "inherit" });
  return binary;
}

// enum scmp_compare (seccomp.h).
const scmpOps = { ne: 1, lt: 2, le: 3, eq: 4, ge: 5, gt: 6, "masked-eq": 7 };

const argLine = ({ index, op, value, valueTwo }: ArgCheck): string => `${index} ${scmpOps[op]} ${value} ${valueTwo ?? 0}`;

function ruleLines(rule: Rule): string[] {
  const value = encodeVerdict({ action: rule.action, data: rule.errno ?? rule.data ?? 0 });
  const args = rule.args ?? [];
  return rule.names.map((name) => [name, value, args.length, ...args.map(argLine)].join(" "));
}

function libseccomp(exporter: string, policy: Policy, level: 1 | 2): { program: Uint8Array; unknown: string[] } {
  const input = ["327681", ...policy.rules.flatMap(ruleLines)].join("\n");
  const args = [String(level), ...(policy.architectures.includes("x86") ? ["x86"] : [])];
  const { status, stdout, stderr } = spawnSync(exporter, args, { input });
  if (status !== 0) throw new Error(`libseccomp-export ended with ${status}: ${stderr.toString()}`);
  return { program: stdout, unknown: stderr.toString().split("\n").filter((name) => name !== "") };
}

/** The same rules without the names that this libseccomp does not know. */
function withoutNames(policy: Policy, unknown: readonly string[]): Policy {
  const rules = policy.rules.map((rule) => ({ ...rule, names: rule.names.filter((name) => !unknown.includes(name)) }));
  return { ...policy, rules };
}

interface Variant {
  readonly label: string;
  readonly program: Uint8Array | undefined;
}

function variants(exporter: string, architectures: readonly ArchName[]): Variant[] {
  const imported = importOci(defaultProfile(capabilities), { nativeArch: "x86_64", newerCalls: "default" }).policy;
  const policy = { ...imported, architectures };
  const { program, unknown } = libseccomp(exporter, policy, 1);
  const suffix = architectures.join("+");
  return [
    { label: `seccomp-bpf-ts, ${suffix}`, program: compile(withoutNames(policy, unknown)) },
    { label: `libseccomp, ${suffix}`, program },
    { label: `libseccomp optimize=2, ${suffix}`, program: libseccomp(exporter, policy, 2).program },
  ];
}

function requireSameDecisions(group: readonly Variant[], architectures: readonly ArchName[]): void {
  const runs = group.flatMap(({ program }) => (program === undefined ? [] : [simulator(program)]));
  for (const arch of architectures) {
    // libseccomp extends the rule for socket to socketcall, whatever other rules say.
    const numbers = [...syscallTable(arch)].filter(([name]) => name !== "socketcall").map(([, nr]) => nr);
    for (const nr of [...numbers, 600, 0xffff_ffff]) {
      for (const first of [0, 1, 2, 8, 17, 21, 38, 39, 40, 0x2_0000, 0x1000_0011, 0xffff_ffff]) {
        const found = new Set(runs.map((run) => formatVerdict(run({ arch, nr, args: [first] }))));
        if (found.size > 1) throw new Error(`${arch} ${nr}(${first}): ${[...found].join(" or ")}`);
      }
    }
  }
}

// Calls that do nothing: allowed whatever the arguments, allowed for this argument, refused.
const calls = [
  { name: "getppid", first: 0, third: 0 },
  { name: "landlock_create_ruleset", first: 0, third: 1 },
  { name: "personality", first: 0xffff_ffff, third: 0 },
  { name: "vhangup", first: 0, third: 0 },
  { name: "set_mempolicy_home_node", first: 0, third: 0 },
].map((call) => ({ ...call, nr: syscallNumber("x86_64", call.name) ?? -1 }));

function timeOnce(timer: string, program: Uint8Array | undefined): number[] {
  const args = [String(ITERATIONS), ...calls.map(({ nr, first, third }) => `${nr}:${first}:${third}`)];
  return execFileSync(timer, args, { input: program ?? new Uint8Array(0) }).toString().trim().split("\n").map(Number);
}

function executed(program: Uint8Array | undefined, { nr, first, third }: (typeof calls)[number]): number {
  return program === undefined ? 0 : simulator(program)({ arch: "x86_64", nr, args: [first, 0, third] }).trace.length;
}

/** Mean over every x86_64 number that has a name, arguments 0. */
function meanExecuted(program: Uint8Array): number {
  const run = simulator(program);
  const lengths = [...syscallTable("x86_64").values()].map((nr) => run({ arch: "x86_64", nr }).trace.length);
  return lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
}

function report(all: readonly Variant[], times: readonly number[][][]): void {
  const model = /^model name\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown processor";
  console.log(`Linux ${release()}, ${cpus().length} x ${model}; ns per call (instructions executed)\n`);
  console.log(`| filter | instructions | mean executed | ${calls.map(({ name }) => name).join(" | ")} |`);
  console.log(`|---|${"---:|".repeat(calls.length + 2)}`);
  for (const [index, { label, program }] of all.entries()) {
    const cells = calls.map((call, which) => {
      const ns = Math.min(...(times[index] ?? []).map((round) => round[which] ?? Number.NaN)).toFixed(0);
      return program === undefined ? ns : `${ns} (${executed(program, call)})`;
    });
    const size = program === undefined ? ["", ""] : [String(program.length / 8), meanExecuted(program).toFixed(1)];
    console.log(`| ${[label, ...size, ...cells].join(" | ")} |`);
  }
}

try {
  const exporter = build("libseccomp-export", "-lseccomp");
  const timer = build("filter-cost");
  const all: Variant[] = [{ label: "none", program: undefined }];
  for (const architectures of [["x86_64"], ["x86_64", "x86"]] as const) {
    const group = variants(exporter, architectures);
    requireSameDecisions(group, architectures);
    all.push(...group);
  }
  const times = all.map((): number[][] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, { program }] of all.entries()) times[index]?.push(timeOnce(timer, program));
  }
  report(all, times);
} finally {
  rmSync(directory, { recursive: true });
}
