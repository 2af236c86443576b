import { formatVerdict } from "./action.ts";
import type { Verdict } from "./action.ts";
import { archOf } from "./arch.ts";
import { decidePlan } from "./decide.ts";
import type { Reason } from "./decide.ts";
import { disassembleLines, formatLine } from "./disassemble.ts";
import { planPolicy } from "./policy.ts";
import type { ArgCheck, Plan, Policy } from "./policy.ts";
import { callAudit, callEndian, simulate } from "./simulate.ts";
import type { Call } from "./simulate.ts";
import { syscallName } from "./syscalls.ts";

export interface Explanation extends Verdict {
  /** For people: the call, then the rule that decided or the instructions that ran, then the verdict. */
  readonly lines: readonly string[];
}

const hex = (value: bigint | number): string => `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`;

function callText(call: Call): string {
  const nr = call.nr >>> 0;
  const arch = archOf(callAudit(call), nr);
  const name = arch === undefined ? undefined : syscallName(arch, nr);
  return `${arch ?? `arch ${hex(callAudit(call))}`}: ${name ?? "syscall"}#${nr}(${(call.args ?? []).map(hex).join(", ")})`;
}

function checkText({ index, op, value, valueTwo }: ArgCheck): string {
  if (op === "masked-eq") return `args[${index}] & ${hex(value)} == ${hex(valueTwo ?? 0)}`;
  return `args[${index}] ${op} ${hex(value)}`;
}

function reasonText(plan: Plan, reason: Reason): string {
  switch (reason) {
    case "default":
      return "no rule matches: the default";
    case "newer-call":
      return "the number is above all that the rules name";
    case "foreign-arch":
      return "the architecture is not in the policy";
    case "x32":
      return "x32 is not in the policy";
    default: {
      const args = plan.rules[reason]?.rule.args ?? [];
      return `rules[${reason}]${args.length === 0 ? "" : ` where ${args.map(checkText).join(" and ")}`}`;
    }
  }
}

function explainProgram(program: Uint8Array, call: Call): Explanation {
  const { action, data, trace } = simulate(program, call);
  const all = disassembleLines(program, callEndian(call));
  const ran = trace.map((at) => all[at]).filter((line) => line !== undefined);
  return { action, data, lines: [callText(call), ...ran.map(formatLine), formatVerdict({ action, data })] };
}

/** Says which rule of a policy, or which path through a program, decides a call. @throws as decide and simulate do. */
export function explain(subject: Policy | Uint8Array, call: Call): Explanation {
  if (subject instanceof Uint8Array) return explainProgram(subject, call);
  const plan = planPolicy(subject);
  const { reason, action, data } = decidePlan(plan, call);
  return { action, data, lines: [callText(call), reasonText(plan, reason), formatVerdict({ action, data })] };
}
