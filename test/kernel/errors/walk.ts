/** Walks over the steps of a command, as the command itself tells them: a step that is new is covered without a change here. */
import { rmSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { succeed, type Container } from "../../support/container.ts";
import { isAlive } from "../../support/host.ts";
import { removeWorkDir } from "../../support/paths.ts";
import type { Call } from "../../support/runtime.ts";
import { until } from "../../support/until.ts";
import { expectOneLine, forceDelete, make } from "./own.ts";
import { Fault, rolesBelow, stepOf, type Role } from "./faults.ts";
import { consoleSocket, enrich } from "./rich.ts";

type Env = Readonly<Record<string, string>>;

export interface Walk {
  readonly command: "create" | "start" | "run" | "exec";
  readonly userNamespace: boolean;
  /** It has at least so many steps: fewer, and the walk itself is broken. */
  readonly minimum: number;
  /** What comes before the command; with `env` where its steps are to be walked too. */
  prepare(c: Container, env: Env): Promise<void>;
  begin(c: Container, env: Env): Call;
  /** The exit code of a call that failed. */
  readonly failure: 1 | 255;
  /** Whether `afterFailure` sees that nothing at all is left. */
  readonly leavesNothing: boolean;
  /** What must hold after a call that failed, before anything is deleted. */
  afterFailure(c: Container): Promise<void>;
  /** Whether init may go on although the runtime was killed: it has been created by then. */
  readonly initMayStay: boolean;
  /** All calls are made in one container, which must survive them. */
  readonly shared: boolean;
}

const END_MS = 15_000;

/** The last steps before execve(2): whoever waits has been told that the program runs, and what happens now is the program's end. */
const RUNNING = new Set(["resource limits", "capabilities", "seccomp", "poststart hooks"]);

export const consolePath = (c: Container): string => c.bundle.path("console.sock");

type Stage = { readonly c: Container } & AsyncDisposable;

async function openStage({ userNamespace }: Walk): Promise<Stage> {
  const c = make({ args: ["sleep", "100"], edit: (spec, bundle) => enrich(spec, bundle, userNamespace) });
  const server = await consoleSocket(consolePath(c));
  const dispose = async (): Promise<void> => {
    await c[Symbol.asyncDispose]();
    server.close();
  };
  return { c, [Symbol.asyncDispose]: dispose };
}

/** One call of the command; `earlier`: how many steps there were before it. */
type Scene = { readonly c: Container; readonly fault: Fault; readonly earlier: number; readonly call: Call } & AsyncDisposable;

class Walker {
  readonly walk: Walk;
  #shared: Stage | undefined;
  #calls = 0;

  constructor(walk: Walk) {
    this.walk = walk;
  }

  async #scene(action?: "fail" | "hold", point?: string): Promise<Scene> {
    const { walk } = this;
    const own = this.#shared ?? (await openStage(walk));
    const { c } = own;
    const fault = new Fault(c.bundle.path(`fault-${this.#calls++}`), action, point);
    if (this.#shared === undefined) await walk.prepare(c, fault.env);
    if (walk.shared) this.#shared = own;
    const earlier = fault.points.length;
    const call = walk.begin(c, fault.env);
    const dispose = async (): Promise<void> => {
      rmSync(fault.file, { force: true });
      if (!walk.shared) await own[Symbol.asyncDispose]();
    };
    return { c, fault, earlier, call, [Symbol.asyncDispose]: dispose };
  }

  /** The steps of the command alone. */
  async list(): Promise<string[]> {
    await using scene = await this.#scene();
    succeed(this.walk.command, await scene.call.result());
    const points = scene.fault.points.slice(scene.earlier);
    if (this.walk.shared) await endRest(scene);
    return points;
  }

  async failAt(point: string): Promise<void> {
    await using scene = await this.#scene("fail", point);
    const result = await scene.call.result();
    expectOneLine(result, this.walk.failure);
    expect(result.stderr).toContain(`${stepOf(point)}: injected fault: i/o error (EIO)`);
    await this.walk.afterFailure(scene.c);
    await this.#endOf(scene, this.walk.leavesNothing);
  }

  /** Each of the processes that there are at that point is killed there, in a call of its own. */
  async killAt(point: string): Promise<void> {
    const victims = new Set<Role>(["runtime"]);
    for (const victim of victims) {
      await using scene = await this.#scene("hold", point);
      await scene.fault.reached(point);
      const roles = rolesBelow(await scene.call.pid);
      if (this.walk.command === "start") roles.set("init", scene.c.pid);
      for (const role of roles.keys()) victims.add(role);
      await killProcess(roles.get(victim));
      scene.fault.release();
      await this.#expectEnd(scene, victim, point, [...roles.values()]);
      await this.#endOf(scene, this.walk.leavesNothing && victim !== "runtime" && !RUNNING.has(stepOf(point)));
    }
  }

  async #expectEnd({ c, call }: Scene, victim: Role, point: string, pids: readonly number[]): Promise<void> {
    const { walk } = this;
    const what = `${victim} killed: all others`;
    const gone = () => !pids.some(isAlive);
    if (victim === "runtime" && walk.initMayStay) {
      await until(what, async () => gone() || ["created", "running"].includes(await c.status()), END_MS);
    } else if (victim === "runtime" && RUNNING.has(stepOf(point))) {
      expect(pids.filter(isAlive)).toHaveLength(1);
    } else {
      await until(what, gone, END_MS);
    }
    if (victim === "runtime") return;
    const result = await call.result();
    if (RUNNING.has(stepOf(point))) return expect(result.code).toBe(0);
    expectOneLine(result, walk.failure);
    await walk.afterFailure(c);
  }

  /** @param clean it has been seen already that nothing is left, without any delete. */
  async #endOf(scene: Scene, clean: boolean): Promise<void> {
    if (this.walk.shared) await endRest(scene);
    else if (!clean) await forceDelete(scene.c);
  }

  async end(): Promise<void> {
    if (this.#shared === undefined) return;
    await using last = this.#shared;
    this.#shared = undefined;
    expect(await last.c.status()).toBe("running");
    await forceDelete(last.c);
  }
}

/** What a call that counts as successful has left running in a container that goes on. */
async function endRest({ c, call }: Scene): Promise<void> {
  await killAll(c, (await call.ended, c.pid));
  await call.orphans;
}

async function killAll(c: Container, butFor: number): Promise<void> {
  const others = (JSON.parse(await c.mustCommand("ps", [], { flags: ["--format", "json"] })) as number[]).filter((pid) => pid !== butFor);
  for (const pid of others) process.kill(pid, "SIGKILL");
}

/** Gone with all it holds before anything else goes on. */
async function killProcess(pid = 0): Promise<void> {
  if (pid === 0) throw new Error("the step has other processes than it had before");
  process.kill(pid, "SIGKILL");
  await until(`the end of ${pid}`, () => !isAlive(pid));
}

export async function describeWalk(walk: Walk): Promise<void> {
  const walker = new Walker(walk);
  afterAll(async () => {
    await walker.end();
    removeWorkDir();
  });
  const points = await walker.list();
  const name = `${walk.command}${walk.userNamespace ? " with a user namespace" : ""}`;

  test(`${name} has its steps, each with a name of its own`, () => {
    expect(points.length, points.join(", ")).toBeGreaterThanOrEqual(walk.minimum);
    expect(new Set(points).size).toBe(points.length);
  });

  describe(`${name} fails at`, () => {
    for (const point of points) test(point, () => walker.failAt(point));
  });

  describe(`${name}: SIGKILL at`, () => {
    for (const point of points) test(point, () => walker.killAt(point));
  });
}
