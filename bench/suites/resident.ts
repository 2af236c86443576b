/**
 * A parent that lives, as a shim does, and makes each container in its own process, by fork: bench/resident.ts. It is a program of its own, with V8's
 * flags of its own, which only a checkout can build.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import type { BenchBundle } from "../bundle.ts";
import { hold, lastLines } from "../hold.ts";
import type { Found, Task } from "../rounds.ts";
import type { Runtime } from "../runtimes.ts";
import type { Prepared, SuiteOptions } from "../suite.ts";
import { home } from "../work.ts";

/**
 * A small heap, since each fork copies its page tables and each exec takes them down. Bytecode that only children use is kept, although the
 * parent never runs it; and what the parent has not optimised, no child optimises for its short life.
 */
export const RESIDENT_FLAGS = ["--single-threaded", "--v8-pool-size=0", "--min-semi-space-size=1", "--max-semi-space-size=1", "--no-flush-bytecode", "--no-maglev", "--expose-gc"];
export const RESIDENT = join(home, ".cache/bench/resident");
const NAME = "start to exit, from a resident parent";
const PREFIX = "tssandbox-";
const SECONDS = 60;

export function residentTasks(bundle: BenchBundle, { cpu, note }: SuiteOptions): Prepared {
  const builder = join(home, "bench/resident-build.ts");
  if (!existsSync(builder)) {
    note("start: the resident parent is built from the sources, which are not here");
    return { tasks: [], [Symbol.dispose]: () => undefined };
  }
  const parents = new Map<string, Parent>();
  const parentOf = ({ name }: Runtime): Parent => {
    const known = parents.get(name);
    if (known?.lives === true) return known;
    const parent = new Parent(bundle.path, name.slice(PREFIX.length), cpu);
    parents.set(name, parent);
    return parent;
  };
  let built: Promise<void> | undefined;
  const task: Task<Runtime> = {
    name: NAME,
    isFor: ({ name }) => name.startsWith(PREFIX),
    async measure(runtime) {
      await (built ??= build(builder));
      return await parentOf(runtime).time();
    },
  };
  return { tasks: [task], [Symbol.dispose]: () => parents.forEach((parent) => parent.end()) };
}

async function build(builder: string): Promise<void> {
  const run = await hold([process.execPath, builder], { seconds: 300 });
  if (run.kind === "failed" || run.code !== 0) throw new Error(`the resident parent cannot be built: ${lastLines(run.stderr)}`);
}

class Parent {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #round = 0;
  #stderr = "";

  constructor(bundle: string, mode: string, cpu: string | undefined) {
    const pinned = cpu === undefined ? [] : ["taskset", "--cpu-list", cpu];
    const [program = "", ...args] = [...pinned, process.execPath, ...RESIDENT_FLAGS, join(RESIDENT, "tssandbox.cjs"), bundle, mode];
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    if (this.#child.stdout === null) throw new Error("no pipe to the resident parent");
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get lives(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async time(): Promise<Found> {
    this.#round += 1;
    this.#child.stdin?.write(`bench-resident-${this.#child.pid}-${this.#round}\n`);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => (timer = setTimeout(() => resolve("late"), SECONDS * 1000)));
    const line = await Promise.race([this.#lines.next(), late]);
    clearTimeout(timer);
    if (line === "late") {
      this.#child.kill("SIGKILL");
      return { readings: [], failure: `timed out after ${SECONDS} s`, hopeless: true };
    }
    if (line.done === true) return { readings: [], failure: `the parent ended: ${lastLines(this.#stderr)}` };
    return { readings: [{ name: NAME, unit: "ms", value: Number(line.value) }] };
  }

  end(): void {
    this.#child.stdin?.end();
  }
}
