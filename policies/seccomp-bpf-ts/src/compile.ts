import { encodeVerdict } from "./action.ts";
import { X32_BIT, archs } from "./arch.ts";
import type { ArchName } from "./arch.ts";
import { assemble } from "./assemble.ts";
import { MAX_INSTRUCTIONS, OFFSET_ARCH, OFFSET_NR, encodeProgram } from "./bpf.ts";
import { RuleCompiler } from "./conditions.ts";
import { isMultiplexed, newestNamed } from "./decide.ts";
import { Graph } from "./graph.ts";
import type { Node } from "./graph.ts";
import { NumberMap, searchTree } from "./numbers.ts";
import { planPolicy } from "./policy.ts";
import type { Plan, PlannedRule, Policy } from "./policy.ts";
import { syscallNumber } from "./syscalls.ts";

// The rules that name each number of an architecture, in order.
function rulesByNumber(plan: Plan, arch: ArchName): Map<number, PlannedRule[]> {
  const byNumber = new Map<number, PlannedRule[]>();
  for (const planned of plan.rules) {
    for (const name of new Set(planned.rule.names)) {
      const number = syscallNumber(arch, name);
      if (number === undefined) continue;
      const rules = byNumber.get(number);
      if (rules === undefined) byNumber.set(number, [planned]);
      else rules.push(planned);
    }
  }
  return byNumber;
}

class PolicyCompiler {
  readonly #graph = new Graph();
  readonly #plan: Plan;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** Tests the architectures in the policy's order. */
  root(): Node {
    const audits = [...new Set(this.#plan.architectures.map((name) => archs[name].audit))];
    const foreign = this.#graph.return(encodeVerdict(this.#plan.foreignArch));
    const dispatch = audits.reduceRight(
      (otherwise, audit) => this.#graph.test("eq", audit, this.#numbers(audit), otherwise),
      foreign,
    );
    return this.#graph.load(OFFSET_ARCH, dispatch);
  }

  #numbers(audit: number): Node {
    const map = new NumberMap();
    if (audit === archs.x86_64.audit) this.#addX86(map);
    else for (const arch of this.#plan.architectures) if (archs[arch].audit === audit) this.#addArch(map, arch, 0);
    return this.#graph.load(OFFSET_NR, searchTree(this.#graph, map));
  }

  // x86_64, with x32 in the middle of its number space: a number from 2^31 up is negative to the kernel and is no x32.
  #addX86(map: NumberMap): void {
    const { architectures, x32, foreignArch } = this.#plan;
    const hasX86 = architectures.includes("x86_64");
    const foreign = this.#graph.return(encodeVerdict(foreignArch));
    let rest = foreign;
    if (hasX86) rest = this.#addArch(map, "x86_64", 0);
    else map.add(0, foreign);
    if (architectures.includes("x32")) this.#addArch(map, "x32", X32_BIT);
    else map.add(X32_BIT, hasX86 ? this.#graph.return(encodeVerdict(x32)) : foreign);
    map.add(2 * X32_BIT, rest);
  }

  /** Adds the numbers of `arch` from `base` on; returns the decision for all that come after the highest. */
  #addArch(map: NumberMap, arch: ArchName, base: number): Node {
    const compiler = new RuleCompiler(this.#graph, archs[arch]);
    const fallback = this.#graph.return(encodeVerdict(this.#plan.fallback));
    const newer = this.#graph.return(encodeVerdict(this.#plan.newerCalls));
    const newest = newestNamed(this.#plan, arch);
    map.add(base, fallback);
    if (newest >= 0 && isMultiplexed(arch, 0)) map.add(0, newer);
    let next = isMultiplexed(arch, 0) ? 1 : base;
    for (const [number, rules] of [...rulesByNumber(this.#plan, arch)].sort(([a], [b]) => a - b)) {
      if (number > next) map.add(next, fallback);
      map.add(number, compiler.compile(rules, fallback));
      next = number + 1;
    }
    const rest = newest >= 0 ? newer : fallback;
    map.add(next, rest);
    return rest;
  }
}

/**
 * Compiles a policy to an array of struct sock_filter, in the byte order of its architectures.
 *
 * @throws PolicyError when the policy is wrong; RangeError when the program exceeds the kernel's 4096 instructions.
 */
export function compile(policy: Policy): Uint8Array {
  const plan = planPolicy(policy);
  const instructions = assemble(new PolicyCompiler(plan).root());
  if (instructions.length > MAX_INSTRUCTIONS) {
    throw new RangeError(`the policy needs ${instructions.length} instructions, the kernel takes ${MAX_INSTRUCTIONS}`);
  }
  const [first = "x86_64"] = plan.architectures;
  return encodeProgram(instructions, archs[first].endian);
}
