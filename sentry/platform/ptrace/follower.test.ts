import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import process from "node:process";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { allowedCpus, CpuMask } from "../../../linux/sched.ts";
import { Follower, KEPT, Processors, WINDOW, type Placement } from "./follower.ts";

/** A machine on which a trap takes so long, in milliseconds. */
class Machine implements Placement {
  readonly log: string[] = [];
  #time = 0;
  #isBound = false;
  readonly #costs: { readonly apart: number; readonly together: number };
  readonly #mayBind: boolean;

  constructor(apart: number, together: number, mayBind = true) {
    this.#costs = { apart, together };
    this.#mayBind = mayBind;
  }

  now(): number {
    return this.#time;
  }

  bind(task: number): boolean {
    if (this.#mayBind) this.log.push(`bind ${task}`);
    this.#isBound = this.#mayBind;
    return this.#mayBind;
  }

  unbind(): void {
    this.log.push("unbind");
    this.#isBound = false;
  }

  hold(task: number): boolean {
    this.log.push(`hold ${task}`);
    return true;
  }

  release(task: number): void {
    this.log.push(`release ${task}`);
  }

  pass(task: number, child: number): void {
    this.log.push(`pass ${task} ${child}`);
  }

  /** @returns what has been done meanwhile. */
  traps(follower: Follower, task: number, count: number): string[] {
    const before = this.log.length;
    for (let i = 0; i < count; i++) {
      this.#time += this.#isBound ? this.#costs.together : this.#costs.apart;
      follower.trapped(task);
      follower.letGo(task, () => this.log.push("go"));
    }
    return this.log.slice(before).filter((what) => what !== "go");
  }
}

/** Traps until it has been measured apart, and the tracer is bound. */
const MEASURED = 1 + 2 * WINDOW;

describe("the tracer follows a task that traps alone", () => {
  test("after some traps, and lets it go where it is itself", () => {
    const machine = new Machine(60, 15);
    const follower = new Follower(machine);
    expect(machine.traps(follower, 7, MEASURED - 1)).toEqual([]);
    machine.log.length = 0;
    machine.traps(follower, 7, 1);
    expect(machine.log).toEqual(["bind 7", "hold 7", "go", "release 7"]);
    expect(machine.traps(follower, 7, KEPT)).not.toContain("unbind");
  });

  test("and does no longer where that turns out to be no faster", () => {
    const machine = new Machine(15, 14);
    const follower = new Follower(machine);
    machine.traps(follower, 7, MEASURED);
    expect(machine.traps(follower, 7, WINDOW).at(-1)).toBe("unbind");
    expect(machine.traps(follower, 7, KEPT - 1)).toEqual([]);
  });

  test("and measures anew after a while", () => {
    const machine = new Machine(60, 15);
    const follower = new Follower(machine);
    machine.traps(follower, 7, MEASURED + WINDOW);
    const later = machine.traps(follower, 7, KEPT + WINDOW);
    expect(later.filter((what) => what === "unbind" || what === "bind 7")).toEqual(["unbind", "bind 7"]);
  });

  test("until another traps, or something else happens", () => {
    const machine = new Machine(60, 15);
    const follower = new Follower(machine);
    machine.traps(follower, 7, MEASURED);
    expect(machine.traps(follower, 8, 1)).toEqual(["unbind"]);
    machine.traps(follower, 8, MEASURED);
    machine.log.length = 0;
    follower.stop();
    follower.letGo(8, () => undefined);
    expect(machine.log).toEqual(["unbind"]);
  });

  test("never where there is nothing to choose from", () => {
    const machine = new Machine(60, 15, false);
    expect(machine.traps(new Follower(machine), 7, 2 * KEPT)).toEqual([]);
  });

  test("and knows later who may have had a child while it was held", () => {
    const machine = new Machine(60, 15);
    const follower = new Follower(machine);
    expect(follower.mayHaveHeld(7)).toBe(false);
    machine.traps(follower, 7, MEASURED);
    follower.stop();
    expect([follower.mayHaveHeld(7), follower.mayHaveHeld(8)]).toEqual([true, false]);
  });
});

const allowed = (pid: number | "self") => /^Cpus_allowed_list:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/task/${pid === "self" ? process.pid : pid}/status`, "latin1"))?.[1];

test("with one processor nothing is bound", () => {
  const [before, one] = [new CpuMask(), new CpuMask()];
  before.read(0);
  one.readCurrent();
  one.giveTo(0);
  try {
    expect(new Processors().bind(process.ppid)).toBe(false);
  } finally {
    before.giveTo(0);
  }
});

// A machine with one has none to choose from.
if (allowedCpus() > 1) describe("with several processors", () => {
  const child = { pid: 0, kill: (): unknown => undefined };
  const before = new CpuMask();

  beforeEach(async () => {
    before.read(0);
    const sleeper = spawn("sleep", ["1000"], { stdio: "ignore" });
    await once(sleeper, "spawn");
    child.pid = sleeper.pid ?? 0;
    child.kill = () => sleeper.kill("SIGKILL");
  });

  afterEach(() => {
    before.giveTo(0);
    child.kill();
  });

  test("a task is held where the tracer is, and both get back what they had", () => {
    const all = [allowed(child.pid), allowed("self")];
    const processors = new Processors();
    expect(processors.bind(child.pid)).toBe(true);
    expect(allowed("self")).toMatch(/^\d+$/);
    expect(allowed(child.pid)).toBe(all[0]);
    expect(processors.hold(child.pid)).toBe(true);
    expect(allowed(child.pid)).toBe(allowed("self"));
    processors.release(child.pid);
    processors.unbind();
    expect([allowed(child.pid), allowed("self")]).toEqual(all);
  });

  test("a task that chose one processor is not followed", () => {
    const one = new CpuMask();
    one.readCurrent();
    one.giveTo(child.pid);
    const all = allowed("self");
    expect(new Processors().bind(child.pid)).toBe(false);
    expect(allowed("self")).toBe(all);
  });

  test("a child gets what its parent has", () => {
    const processors = new Processors();
    const all = allowed("self");
    processors.bind(child.pid);
    processors.hold(child.pid);
    processors.unbind();
    expect(allowed(child.pid)).not.toBe(all);
    processors.pass(process.pid, child.pid);
    expect(allowed(child.pid)).toBe(all);
  });
});
