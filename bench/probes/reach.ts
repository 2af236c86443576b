/**
 * What a stack of seccomp filters lets through, found by running it: for each number the arguments are chosen so that every comparison on the way
 * goes both ways. A call counts as reachable where some arguments get it past all filters: each answer has a witness, nothing is guessed.
 */
import { actionNames, decodeProgram, opcode, simulator, syscallTable, type ActionName, type ArchName, type Call, type Instruction, type Run, type Verdict } from "seccomp-bpf-ts";

/** A call that a filter sees: all of struct seccomp_data. */
export interface SeenCall extends Call {
  readonly arch: ArchName;
  readonly args: readonly bigint[];
  readonly ip: bigint;
}

/** struct seccomp_data in words: number, architecture, instruction pointer (2), arguments (12). */
const FIRST_FREE_WORD = 2;
const WORDS = 16;
/** Of one number: far more than any filter seen has, of which the largest (ioctl of the `balanced` policy) has some 150. */
const MOST_RUNS = 4000;

type Words = readonly number[];

function toCall(arch: ArchName, nr: number, words: Words): SeenCall {
  const wide = (word: number) => (BigInt(words[word + 1] ?? 0) << 32n) | BigInt(words[word] ?? 0);
  return { arch, nr, ip: wide(FIRST_FREE_WORD), args: Array.from({ length: 6 }, (_, i) => wide(4 + 2 * i)) };
}

interface Filter {
  readonly run: (call: Call) => Run;
  readonly instructions: readonly Instruction[];
}

/** Filters of one task, in the order in which they were loaded. */
export class Stack {
  readonly #filters: readonly Filter[];

  constructor(programs: readonly Uint8Array[]) {
    this.#filters = programs.map((program) => ({ run: simulator(program), instructions: decodeProgram(program) }));
  }

  get length(): number {
    return this.#filters.length;
  }

  /** The strictest verdict, of equals that of the filter loaded last. Source: Linux kernel/seccomp.c, seccomp_run_filters. */
  decide(call: Call): Verdict {
    return strictest(this.#filters.map(({ run }) => run(call)));
  }

  /** Every action that some arguments and some instruction pointer get the call to, with such a call. */
  outcomes(arch: ArchName, nr: number): Map<ActionName, SeenCall> {
    const found = new Map<ActionName, SeenCall>();
    const paths = new Set<string>();
    const waiting: Words[] = [Array<number>(WORDS).fill(0)];
    for (let runs = 0; waiting.length > 0 && runs < MOST_RUNS; runs++) {
      const words = waiting.pop() ?? [];
      const call = toCall(arch, nr, words);
      const results = this.#filters.map(({ run }) => run(call));
      const path = results.map(({ trace }) => trace.join()).join(" ");
      if (paths.has(path)) continue;
      paths.add(path);
      const { action } = strictest(results);
      if (!found.has(action)) found.set(action, call);
      for (const [index, { trace }] of results.entries()) waiting.push(...turns(this.#filters[index]?.instructions ?? [], trace, words));
    }
    return found;
  }
}

/** Less is stricter. */
const rank = (action: ActionName) => actionNames.indexOf(action);

function strictest(results: readonly Run[]): Verdict {
  return results.reduceRight<Verdict>((strict, run) => (rank(run.action) < rank(strict.action) ? run : strict), { action: "allow", data: 0 });
}

/** The same words with one changed, for each comparison of the trace that would then go the other way. */
function turns(instructions: readonly Instruction[], trace: readonly number[], words: Words): Words[] {
  const found: Words[] = [];
  let word = 0;
  let mask = 0xffff_ffff;
  for (const at of trace) {
    const { code = 0, k = 0 } = instructions[at] ?? {};
    if (code === opcode.ldAbs) [word, mask] = [k / 4, 0xffff_ffff];
    else if (code === opcode.andK) mask = (mask & k) >>> 0;
    else if (word >= FIRST_FREE_WORD) found.push(...otherWay(code, k, mask, words[word] ?? 0).map((value) => words.with(word, value)));
  }
  return found;
}

/** Values for a word, of which the filter looks at the bits of `mask`, with which a jump on `k` goes the other way. */
function otherWay(code: number, k: number, mask: number, value: number): number[] {
  const seen = (value & mask) >>> 0;
  const put = (bits: number) => ((value & ~mask) | (bits & mask)) >>> 0;
  switch (code) {
    case opcode.jeqK:
      return [put(seen === k ? k ^ lowestBit(mask) : k)];
    case opcode.jgtK:
      return [put(seen > k ? k : k + 1)];
    case opcode.jgeK:
      return [put(seen >= k ? k - 1 : k)];
    case opcode.jsetK:
      return (seen & k) === 0 ? [put(seen | lowestBit(k & mask))] : [put(seen & ~k)];
    default:
      return [];
  }
}

const lowestBit = (value: number) => (value & -value) >>> 0;

export interface Reach {
  /** Numbers that some arguments get through to the host's kernel. */
  readonly allowed: readonly number[];
  /** Numbers that get through for no arguments, but for some are answered by somebody else: a listener, a tracer, a signal handler. */
  readonly answered: readonly number[];
  /** Numbers that are refused, whatever the arguments. */
  readonly refused: readonly number[];
}

/** @param answers actions that hand the call to somebody of the runtime's. A trap does where the signal handler is the runtime's, not the guest's. */
export function reachOf(stack: Stack, arch: ArchName, answers: readonly ActionName[]): Reach {
  const reach = { allowed: [] as number[], answered: [] as number[], refused: [] as number[] };
  for (const nr of new Set(syscallTable(arch).values())) {
    const actions = stack.outcomes(arch, nr);
    if (actions.has("allow") || actions.has("log")) reach.allowed.push(nr);
    else if (answers.some((action) => actions.has(action))) reach.answered.push(nr);
    else reach.refused.push(nr);
  }
  return reach;
}
