/**
 * containerd.task.v2.Task: containerd's calls. v3 has the same ones with the same messages; containerd 2 uses it for the containers of a sandbox of the shim's.
 * Source: containerd, api/runtime/task/v2 and v3, shim.proto; runtime/v2/README.md.
 */
import process from "node:process";
import { create, toBinary, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { AnySchema, EmptySchema, timestampFromDate, type Any } from "@bufbuild/protobuf/wkt";
import { messageOf } from "../linux/errors.ts";
import { answerDelete } from "./delete.ts";
import { readOptions } from "./options.ts";
import type { ShimProcess } from "./process.ts";
import { ProcessDetailsSchema } from "./proto/generated/runc_pb.js";
import * as api from "./proto/generated/task_pb.js";
import { Status } from "./proto/generated/types_pb.js";
import type { Exit } from "./reaper.ts";
import type { SandboxService } from "./sandbox/service.ts";
import { Task, type Surroundings, type TaskRequest } from "./task.ts";
import { method } from "./ttrpc/method.ts";
import { CODE, RpcError } from "./ttrpc/status.ts";
import { aboutContainer } from "../runtime/tracing/about.ts";
import type { Metadata, Method, Services } from "./ttrpc/server.ts";

/** containerd's own shim says so, and its clients look for it. */
const runtimeError = (verb: string) => (error: unknown) => {
  throw error instanceof RpcError ? error : new RpcError(CODE.unknown, `OCI runtime ${verb} failed: ${messageOf(error)}`, { cause: error });
};

const pack = <S extends DescMessage>(schema: S, value: MessageInitShape<S>): Any => create(AnySchema, { typeUrl: schema.typeName, value: toBinary(schema, create(schema, value)) });

/** What the specification calls JSON comes as such, in an Any. */
const json = (any: Any | undefined): string => Buffer.from(any?.value ?? []).toString();

export interface TaskService {
  readonly tasks: ReadonlyMap<string, Task>;
  readonly services: Services;
  /** Whether there is no task, and none being made. */
  readonly isIdle: () => boolean;
}

/** @param shutDown what to do when containerd has no more use for the shim. */
export function taskService(around: Surroundings, version: string, shutDown: () => void, sandbox: Pick<SandboxService, "adopt" | "options">): TaskService {
  const tasks = new Map<string, Task>();
  const creating = new Map<string, Promise<unknown>>();

  /**
   * A task that is being made is none that does not exist: whoever asks of it waits for it. A containerd that has begun meanwhile, after the one that had asked for the task, would
   * take the container for one without a task, and could never remove it. Source: containerd 1.6, pkg/cri/server/restart.go, loadContainer.
   */
  const find = async (id: string): Promise<Task> => {
    await creating.get(id);
    const task = tasks.get(id);
    if (task === undefined) throw new RpcError(CODE.notFound, `task ${id} does not exist`);
    return task;
  };

  const isIdle = () => tasks.size === 0 && creating.size === 0;

  async function createTask(request: api.CreateTaskRequest, call: Metadata): Promise<{ pid: number }> {
    const { id, bundle, rootfs, checkpoint, stdin, stdout, stderr, terminal } = request;
    if (checkpoint !== "") throw new RpcError(CODE.unimplemented, "checkpoints are not implemented");
    if (tasks.has(id) || creating.has(id)) throw new RpcError(CODE.alreadyExists, `task ${id} already exists`);
    const options = sandbox.options() ?? readOptions(request.options, around.namespace);
    const making = around.tracing.span("create", options.config.tracing?.endpoint, () => aboutContainer(id, bundle, call), () => make({ id, bundle, rootfs, names: { stdin, stdout, stderr, terminal }, options }));
    creating.set(id, making.catch(() => undefined));
    return { pid: (await making).init.pid };
  }

  async function make(request: TaskRequest): Promise<Task> {
    const { id } = request;
    try {
      sandbox.adopt(request.bundle);
      const task = await Task.create(request, around).catch(runtimeError("create"));
      tasks.set(id, task);
      return task;
    } finally {
      creating.delete(id);
    }
  }

  function startProcess(task: Task, execId: string, call: Metadata): Promise<number> {
    const verb = execId === "" ? "start" : "exec";
    const { bundle, options } = task.request;
    return around.tracing.span(verb, options.config.tracing?.endpoint, () => aboutContainer(task.id, bundle, call), () => task.start(execId).catch(runtimeError(verb)));
  }

  async function deleteProcess({ id, execId }: api.DeleteRequest) {
    const task = await find(id);
    const { pid, exit } = await task.delete(execId);
    if (execId === "") {
      leaveAnswer(task.request.bundle, pid, exit);
      tasks.delete(id);
    }
    return { pid, exitStatus: exit.code, exitedAt: timestampFromDate(exit.at) };
  }

  function leaveAnswer(bundle: string, pid: number, exit: Exit): void {
    try {
      answerDelete(bundle, pid, exit);
    } catch (error) {
      // A Node answers in its place.
      around.log(`${bundle}: ${String(error)}`);
    }
  }

  const methods: Readonly<Record<string, Method>> = {
    Create: method(api.CreateTaskRequestSchema, api.CreateTaskResponseSchema, createTask),
    Start: method(api.StartRequestSchema, api.StartResponseSchema, async ({ id, execId }, call) => ({ pid: await startProcess(await find(id), execId, call) })),
    Delete: method(api.DeleteRequestSchema, api.DeleteResponseSchema, deleteProcess),
    State: method(api.StateRequestSchema, api.StateResponseSchema, async ({ id, execId }) => stateOf(await find(id), execId)),
    Wait: method(api.WaitRequestSchema, api.WaitResponseSchema, async ({ id, execId }) => {
      const exit = await (await find(id)).process(execId).exited;
      return { exitStatus: exit.code, exitedAt: timestampFromDate(exit.at) };
    }),
    Exec: method(api.ExecProcessRequestSchema, EmptySchema, async ({ id, execId, stdin, stdout, stderr, terminal, spec }) => {
      (await find(id)).addExec(execId, { stdin, stdout, stderr, terminal }, json(spec));
      return {};
    }),
    Kill: method(api.KillRequestSchema, EmptySchema, async ({ id, execId, signal, all }) => {
      await (await find(id)).kill(execId, signal, all);
      return {};
    }),
    // containerd 2 asks at its start, and waits without a limit; of a shim without a process it removes the bundle. The one that there is makes the task. Source: core/runtime/v2/shim_load.go.
    Pids: method(api.PidsRequestSchema, api.PidsResponseSchema, async ({ id }) => ({ processes: creating.has(id) ? [{ pid: process.pid }] : processesOf(await find(id)) })),
    Pause: method(api.PauseRequestSchema, EmptySchema, async ({ id }) => {
      await (await find(id)).pause();
      return {};
    }),
    Resume: method(api.ResumeRequestSchema, EmptySchema, async ({ id }) => {
      await (await find(id)).resume();
      return {};
    }),
    Update: method(api.UpdateTaskRequestSchema, EmptySchema, async ({ id, resources }) => {
      await (await find(id)).update(json(resources)).catch(runtimeError("update"));
      return {};
    }),
    Stats: method(api.StatsRequestSchema, api.StatsResponseSchema, async ({ id }) => ({ stats: await (await find(id)).metrics() })),
    ResizePty: method(api.ResizePtyRequestSchema, EmptySchema, async ({ id, execId, width, height }) => {
      (await find(id)).process(execId).streams?.resize(width, height);
      return {};
    }),
    CloseIO: method(api.CloseIORequestSchema, EmptySchema, async ({ id, execId, stdin }) => {
      if (stdin) (await find(id)).process(execId).streams?.closeInput();
      return {};
    }),
    Connect: method(api.ConnectRequestSchema, api.ConnectResponseSchema, ({ id }) => ({ shimPid: process.pid, taskPid: tasks.get(id)?.init.pid ?? 0, version })),
    Shutdown: method(api.ShutdownRequestSchema, EmptySchema, () => {
      if (isIdle()) shutDown();
      return {};
    }),
  };
  return { tasks, services: { "containerd.task.v2.Task": methods, "containerd.task.v3.Task": methods }, isIdle };
}

function processesOf(task: Task) {
  return task.pids().map((pid) => {
    const execId = task.execIdOf(pid);
    return execId === undefined ? { pid } : { pid, info: pack(ProcessDetailsSchema, { execId }) };
  });
}

function stateOf(task: Task, execId: string): MessageInitShape<typeof api.StateResponseSchema> {
  const shown = task.process(execId);
  const { state, names } = shown;
  const ended = state.kind === "stopped" ? { exitStatus: state.exit.code, exitedAt: timestampFromDate(state.exit.at) } : {};
  return { id: execId || task.id, bundle: task.request.bundle, pid: state.pid, status: statusOf(task, shown), ...names, ...ended, execId };
}

function statusOf(task: Task, { state, execId }: ShimProcess): Status {
  if (state.kind === "stopped") return Status.STOPPED;
  if (state.kind === "created") return Status.CREATED;
  return task.paused && execId === "" ? Status.PAUSED : Status.RUNNING;
}
