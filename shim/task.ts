/** A container as containerd knows it: its init, further processes, and what is done to them. */
import type { Any } from "@bufbuild/protobuf/wkt";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { SIGNALS } from "../linux/abi/signal.ts";
import { kill } from "../linux/process.ts";
import type { Fd } from "../linux/fd.ts";
import { receiveMessage, sendMessage, socketPair } from "../linux/socket.ts";
import type { CgroupStats, OomSource } from "../runtime/cgroups/index.ts";
import { statsJson } from "../runtime/cgroups/stats.ts";
import { createContainer } from "../runtime/container/create.ts";
import { deleteContainer } from "../runtime/container/delete.ts";
import { execInContainer } from "../runtime/container/exec.ts";
import { killContainer } from "../runtime/container/kill.ts";
import { membersOf } from "../runtime/container/members.ts";
import { startContainer } from "../runtime/container/start.ts";
import { freezeContainer, oomEventsOf, thawContainer, updateContainer } from "../runtime/container/resources.ts";
import { cgroupOf, statusOf } from "../runtime/container/status.ts";
import { Container } from "../runtime/container/store.ts";
import type { Config } from "../runtime/config/schema.ts";
import { Logger } from "../runtime/log.ts";
import { oomSourceFrom, openOomWatch, parseFigures, statsInGuest } from "../runtime/vm/ask.ts";
import { parseProcess, parseResources } from "../runtime/spec/validate.ts";
import * as events from "./proto/generated/events_pb.js";
import type { Publisher } from "./events.ts";
import { metricsFrom, metricsOf } from "./metrics.ts";
import { operate, type Operation } from "./operation.ts";
import { OPTIONS_FILE, type RuntimeOptions } from "./options.ts";
import { ShimProcess } from "./process.ts";
import type { Exit, Reaper } from "./reaper.ts";
import { mountRoot, unmountRoot, type RootMount } from "./rootfs.ts";
import { ProcessStreams, type StreamNames } from "./streams/streams.ts";
import type { Tracing } from "../runtime/tracing/tracing.ts";
import { CODE, RpcError } from "./ttrpc/status.ts";

/** What all tasks of a shim share. */
export interface Surroundings {
  readonly namespace: string;
  readonly reaper: Reaper;
  readonly publisher: Pick<Publisher, "publish">;
  readonly log: (message: string) => void;
  readonly tracing: Tracing;
}

export interface TaskRequest {
  readonly id: string;
  readonly bundle: string;
  readonly rootfs: readonly RootMount[];
  readonly names: StreamNames;
  readonly options: RuntimeOptions;
}

export interface Deleted {
  readonly pid: number;
  readonly exit: Exit;
}

/** Whoever has inherited a process's output may keep it open; containerd's own shim waits as long. */
const DRAIN_MS = 10_000;
/** How long an end waits for the answer to a Kill. What that waits for itself, the freezer and the guest's end, takes three seconds at most, and more only on a machine that is busy. */
const ANSWER_MS = 10_000;

/** For the runtime's warnings and its sandboxes' last words, where containerd's own shim has runc's. */
const logFor = (bundle: string, { log }: Config) => new Logger({ file: join(bundle, "log.json"), format: "json", debug: false, node: log });

export class Task {
  readonly request: TaskRequest;
  readonly init: ShimProcess;
  readonly #around: Surroundings;
  readonly #execs = new Map<string, ShimProcess>();
  readonly #execSpecs = new Map<string, string>();
  readonly #container: Container;
  #oom: OomSource | undefined;
  #deleting: Promise<Deleted> | undefined;
  /** An end is told after the answer to the Kill that has caused it: told of it, containerd deletes the task, and closes the connection on which it waits for that answer. */
  #killing: Promise<unknown> = Promise.resolve();
  paused = false;

  private constructor(request: TaskRequest, around: Surroundings, streams: ProcessStreams, container: Container) {
    this.request = request;
    this.#around = around;
    this.#container = container;
    this.init = new ShimProcess("", request.names);
    this.init.streams = streams;
    this.init.exists(container.record.pid);
    if (container.record.mode === "vm") void this.#watchGuest().catch((error: unknown) => around.log(`${this.id}: ${String(error)}`));
    else this.#oom = oomEventsOf(container);
  }

  /** A guest may take its time to answer: another process waits for it. */
  async #watchGuest(): Promise<void> {
    const [ours, theirs] = socketPair();
    using _ours = ours;
    using _theirs = theirs;
    await this.#operate({
      keep: [theirs],
      body: () => {
        using connection = openOomWatch(this.#container);
        sendMessage(theirs, Buffer.from("oom"), [connection]);
      },
    });
    const connection = receiveMessage(ours)?.fds[0];
    if (connection !== undefined) this.#oom = oomSourceFrom(connection);
  }

  /** @throws Error with the runtime's message; nothing is left of it. */
  static async create(request: TaskRequest, around: Surroundings): Promise<Task> {
    const { id, bundle, options } = request;
    writeFileSync(join(bundle, OPTIONS_FILE), JSON.stringify(options), { mode: 0o600 });
    const streams = await ProcessStreams.open(request.names, options.streamOwner, id, around.namespace);
    return around.reaper.expecting(async () => {
      try {
        await operate(around.reaper, { ...ends(streams), body: () => createInBundle(request, streams.console) });
        streams.started();
      } catch (error) {
        streams.destroy();
        throw error;
      }
      const task = new Task(request, around, streams, Container.open(options.root, id));
      const { names, rootfs } = request;
      around.publisher.publish("/tasks/create", events.TaskCreateSchema, { containerId: id, bundle, rootfs: rootfs.map((mount) => ({ ...mount, options: [...mount.options] })), io: names, pid: task.init.pid });
      task.#watch(task.init);
      return task;
    });
  }

  get id(): string {
    return this.request.id;
  }

  get container(): Container {
    return this.#container;
  }

  /** @throws RpcError */
  process(execId: string): ShimProcess {
    const process = execId === "" ? this.init : this.#execs.get(execId);
    if (process === undefined) throw new RpcError(CODE.notFound, `process ${execId} of ${this.id} does not exist`);
    return process;
  }

  execIdOf(pid: number): string | undefined {
    return [...this.#execs.values()].find((process) => process.pid === pid && process.state.kind === "running")?.execId;
  }

  #operate<T>(operation: Operation<T>): Promise<T> {
    return operate(this.#around.reaper, operation);
  }

  #watch(process: ShimProcess): void {
    this.#around.reaper.watch(process.pid, (exit) => void process.inTurn(() => this.#ended(process, exit)));
  }

  async #ended(process: ShimProcess, exit: Exit): Promise<void> {
    if (process === this.init) await this.#endRest();
    // A Kill that does not come back must not keep the end from being told.
    await Promise.race([this.#killing, setTimeout(ANSWER_MS, undefined, { ref: false })]);
    this.takeOom();
    process.ends(exit);
    const id = process.execId || this.id;
    this.#around.publisher.publish("/tasks/exit", events.TaskExitSchema, { containerId: this.id, id, pid: process.pid, exitStatus: exit.code, exitedAt: timestamp(exit.at) });
  }

  /** Without a pid namespace of its own the container does not end with its init. */
  async #endRest(): Promise<void> {
    if (this.#container.record.ownPidNamespace) return;
    await this.#operate({ body: () => cgroupOf(this.#container).kill(SIGNALS.SIGKILL) }).catch((error: unknown) => this.#around.log(`${this.id}: ${String(error)}`));
  }

  /** Tells of an OOM kill since the last time. */
  takeOom(): void {
    if (this.#oom?.take() === "oom") this.#around.publisher.publish("/tasks/oom", events.TaskOOMSchema, { containerId: this.id });
  }

  start(execId: string): Promise<number> {
    const process = this.process(execId);
    return process.inTurn(() => (process === this.init ? this.#startInit() : this.#startExec(process)));
  }

  async #startInit(): Promise<number> {
    const { init } = this;
    init.require("created", "start");
    await this.#operate({ body: () => startContainer(Container.open(this.request.options.root, this.id)) });
    init.runs(init.pid);
    this.#around.publisher.publish("/tasks/start", events.TaskStartSchema, { containerId: this.id, pid: init.pid });
    return init.pid;
  }

  /** @param spec a process as JSON. */
  addExec(execId: string, names: StreamNames, spec: string): void {
    if (this.#execs.has(execId)) throw new RpcError(CODE.alreadyExists, `id ${execId}: already exists`);
    if (this.init.state.kind === "stopped") throw new RpcError(CODE.failedPrecondition, "cannot exec in a stopped container");
    this.#execs.set(execId, new ShimProcess(execId, names));
    this.#execSpecs.set(execId, spec);
    this.#around.publisher.publish("/tasks/exec-added", events.TaskExecAddedSchema, { containerId: this.id, execId });
  }

  async #startExec(process: ShimProcess): Promise<number> {
    const { execId } = process;
    process.require("created", "start");
    if (this.init.state.kind === "stopped") throw new RpcError(CODE.failedPrecondition, "cannot exec in a stopped container");
    const streams = (process.streams = await ProcessStreams.open(process.names, this.request.options.streamOwner, this.id, this.#around.namespace));
    return this.#around.reaper.expecting(async () => {
      const pid = await this.#operate({ ...ends(streams), body: () => this.#exec(this.#execSpecs.get(execId) ?? "", streams.console) });
      streams.started();
      process.runs(pid);
      this.#around.publisher.publish("/tasks/exec-started", events.TaskExecStartedSchema, { containerId: this.id, execId, pid });
      this.#watch(process);
      return pid;
    }).catch((error: unknown) => {
      streams.destroy();
      process.ends({ code: 255, at: new Date() });
      throw error;
    });
  }

  #exec(spec: string, console: Fd | undefined): number {
    const log = logFor(this.request.bundle, this.request.options.config);
    const container = Container.open(this.request.options.root, this.id);
    const target = console === undefined ? undefined : { socket: console };
    return execInContainer(container, { spec: container.spec(), process: log.warned(parseProcess(spec)), console: target, pidFile: undefined, preserveFds: 0, newKeyring: false, ignorePaused: false, cgroups: [], strace: false, log });
  }

  async kill(execId: string, signal: number, all: boolean): Promise<void> {
    const process = this.process(execId);
    if (process.state.kind === "stopped" && !all) throw finished();
    if (process !== this.init) {
      if (process.state.kind !== "running" || !kill(process.pid, signal)) throw finished();
      return;
    }
    const killing = this.#operate({ body: () => killContainer(Container.open(this.request.options.root, this.id), signal, all) });
    this.#killing = Promise.allSettled([this.#killing, killing]);
    await killing.catch((error: unknown) => {
      throw /container not running|does not exist/.test(String(error)) ? finished() : error;
    });
  }

  pids(): number[] {
    return statusOf(this.#container) === "stopped" ? [] : membersOf(this.#container);
  }

  async pause(): Promise<void> {
    this.init.require("running", "pause");
    await this.#operate({ body: () => freezeContainer(this.#container) });
    this.paused = true;
    this.#around.publisher.publish("/tasks/paused", events.TaskPausedSchema, { containerId: this.id });
  }

  async resume(): Promise<void> {
    if (!this.paused) throw new RpcError(CODE.failedPrecondition, "cannot resume a container that is not paused");
    await this.#operate({ body: () => thawContainer(this.#container) });
    this.paused = false;
    this.#around.publisher.publish("/tasks/resumed", events.TaskResumedSchema, { containerId: this.id });
  }

  /** In a machine the container's own figures are the guest's; where it tells none, those of the processes on the host. */
  async metrics(): Promise<Any> {
    const container = this.#container;
    if (container.record.mode !== "vm" || this.paused) return metricsOf(container);
    try {
      const text = await this.#operate({ body: () => statsJson(statsInGuest(container)) });
      return metricsFrom(parseFigures(text) as CgroupStats, container.record.cgroup.layout);
    } catch (error) {
      this.#around.log(`${this.id}: ${String(error)}`);
      return metricsOf(container);
    }
  }

  /** @param resources linux.resources as JSON. */
  async update(resources: string): Promise<void> {
    const log = logFor(this.request.bundle, this.request.options.config);
    await this.#operate({ body: () => updateContainer(this.#container, parseResources(resources), log) });
  }

  /** @returns the process that is no more. */
  async delete(execId: string): Promise<Deleted> {
    const process = this.process(execId);
    if (process.state.kind === "running") throw new RpcError(CODE.failedPrecondition, "cannot delete a running process");
    if (process !== this.init) return await this.#deleteExec(process);
    // Whoever asks a second time, after a time-out of its own perhaps, waits for the first; one that failed is tried again.
    this.#deleting ??= this.#deleteInit().finally(() => (this.#deleting = undefined));
    return await this.#deleting;
  }

  async #deleteInit(): Promise<Deleted> {
    const { init, request } = this;
    await this.#operate({ body: () => deleteContainer(request.options.root, this.id, true, logFor(request.bundle, request.options.config)) });
    const exit = await init.exited;
    await this.#closeStreams(init);
    this.#oom?.[Symbol.dispose]();
    unmountRoot(request.bundle);
    this.#around.publisher.publish("/tasks/delete", events.TaskDeleteSchema, { containerId: this.id, pid: init.pid, exitStatus: exit.code, exitedAt: timestamp(exit.at) });
    return { pid: init.pid, exit };
  }

  async #deleteExec(process: ShimProcess): Promise<Deleted> {
    await this.#closeStreams(process);
    this.#execs.delete(process.execId);
    this.#execSpecs.delete(process.execId);
    return { pid: process.pid, exit: process.state.kind === "stopped" ? process.state.exit : { code: 0, at: new Date() } };
  }

  async #closeStreams({ streams }: ShimProcess): Promise<void> {
    await streams?.drained(DRAIN_MS);
    streams?.destroy();
  }
}

/** In a forked child: its standard streams are the container's. */
function createInBundle({ id, bundle, rootfs, options }: TaskRequest, console: Fd | undefined): number {
  const log = logFor(bundle, options.config);
  mountRoot(bundle, rootfs);
  try {
    const container = createContainer({
      ...options,
      mode: undefined,
      id,
      bundle,
      rootless: false,
      console: () => (console === undefined ? undefined : { socket: console }),
      pidFile: join(bundle, "init.pid"),
      preserveFds: 0,
      log,
    });
    log.flush();
    return container.record.pid;
  } catch (error) {
    unmountRoot(bundle);
    throw error;
  }
}

const finished = () => new RpcError(CODE.notFound, "process already finished");

/** What the child needs of a process's streams. */
function ends({ ends: streams, console }: ProcessStreams): Pick<Operation<unknown>, "streams" | "keep"> {
  return { streams, keep: console === undefined ? [] : [console] };
}

const timestamp = (at: Date) => ({ seconds: BigInt(Math.floor(at.getTime() / 1000)), nanos: (at.getTime() % 1000) * 1_000_000 });
