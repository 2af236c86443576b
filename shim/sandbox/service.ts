/**
 * containerd.runtime.sandbox.v1.Sandbox: a pod whose sandbox is not a container of containerd's (`sandboxer = "shim"`). It is one of ours all the same, which
 * its containers join by its namespaces, as they join a pause container's. Source: containerd, api/runtime/sandbox/v1/sandbox.proto; docs/sandbox-api.md;
 * plugins/sandbox/controller.go.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fromBinary } from "@bufbuild/protobuf";
import { type Any, timestampFromDate, timestampNow } from "@bufbuild/protobuf/wkt";
import { O_RDONLY } from "../../linux/abi/fcntl.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { userNamespaceOf as ownerOf } from "../../linux/namespace.ts";
import { answerDelete, deleteMembers, SANDBOX_FILE } from "../delete.ts";
import { metricsOf } from "../metrics.ts";
import { operate } from "../operation.ts";
import { readOptions, type RuntimeOptions } from "../options.ts";
import { PodSandboxConfigSchema, type PodSandboxConfig } from "../proto/generated/pod_pb.js";
import * as api from "../proto/generated/sandbox_pb.js";
import { unmountRoot } from "../rootfs.ts";
import { Task, type Deleted, type Surroundings } from "../task.ts";
import { aboutContainer } from "../../runtime/tracing/about.ts";
import { method } from "../ttrpc/method.ts";
import type { Metadata, Method, Services } from "../ttrpc/server.ts";
import { CODE, RpcError } from "../ttrpc/status.ts";
import { addPodFiles, makePauseRoot, makePodFiles } from "./files.ts";
import { pauseSpec, rootOfPod, userNamespaceOf } from "./pod.ts";

interface Sandbox {
  readonly id: string;
  readonly bundle: string;
  readonly options: RuntimeOptions;
  readonly config: PodSandboxConfig;
  readonly task: Task;
  readonly createdAt: Date;
  /** Kept open: its containers' configurations name it by our descriptor. */
  readonly user: Fd | undefined;
  /** Its end, once it has been stopped and all of it is gone. */
  deleted?: Deleted;
}

export interface SandboxService {
  readonly services: Services;
  /** Gives a container, by its bundle, what its pod has. Nothing where the pod's sandbox is a container like others. */
  readonly adopt: (bundle: string) => void;
  /** What the handler says, of all containers then: containerd before 2.3 cannot hand them on. Undefined where there is no sandbox here. Source: containerd, client/task_opts.go, WithTaskAPIEndpoint. */
  readonly options: () => RuntimeOptions | undefined;
  readonly isIdle: () => boolean;
}

/** A handler's options are not in the call, but have been handed to `start`. */
export function sandboxService(around: Surroundings, handed: Any | undefined, shutDown: () => void): SandboxService {
  let sandbox: Sandbox | undefined;
  let making: Promise<unknown> | undefined;
  /** One that is being made is waited for: a containerd that has begun meanwhile would take it for one that does not exist. */
  const find = async (id: string): Promise<Sandbox> => {
    await making;
    if (sandbox?.id !== id) throw new RpcError(CODE.notFound, `sandbox ${id} does not exist`);
    return sandbox;
  };

  async function createSandbox(request: api.CreateSandboxRequest, call: Metadata) {
    if (making !== undefined) throw new RpcError(CODE.alreadyExists, `sandbox ${request.sandboxId} already exists`);
    const options = readOptions(handed, around.namespace);
    const about = () => aboutContainer(request.sandboxId, request.bundlePath, call);
    const made = around.tracing.span("create sandbox", options.config.tracing?.endpoint, about, () => makeSandbox(request, options, around));
    making = made.catch(() => undefined);
    sandbox = await made;
    return {};
  }

  async function shutdownSandbox(id: string) {
    // One that could not be created is shut down as well.
    await making;
    if (sandbox !== undefined) await removeSandbox(await find(id), around);
    sandbox = undefined;
    shutDown();
    return {};
  }

  const methods: Readonly<Record<string, Method>> = {
    CreateSandbox: method(api.CreateSandboxRequestSchema, api.CreateSandboxResponseSchema, createSandbox),
    StartSandbox: method(api.StartSandboxRequestSchema, api.StartSandboxResponseSchema, async ({ sandboxId }, call) => {
      const { task, createdAt, options, bundle } = await find(sandboxId);
      const pid = await around.tracing.span("start sandbox", options.config.tracing?.endpoint, () => aboutContainer(sandboxId, bundle, call), () => task.start(""));
      return { pid, createdAt: timestampFromDate(createdAt) };
    }),
    Platform: method(api.PlatformRequestSchema, api.PlatformResponseSchema, () => ({ platform: { os: "linux", architecture: "amd64" } })),
    StopSandbox: method(api.StopSandboxRequestSchema, api.StopSandboxResponseSchema, async ({ sandboxId }) => {
      await stopSandbox(await find(sandboxId));
      return {};
    }),
    WaitSandbox: method(api.WaitSandboxRequestSchema, api.WaitSandboxResponseSchema, async ({ sandboxId }) => {
      const exit = await (await find(sandboxId)).task.init.exited;
      return { exitStatus: exit.code, exitedAt: timestampFromDate(exit.at) };
    }),
    SandboxStatus: method(api.SandboxStatusRequestSchema, api.SandboxStatusResponseSchema, async ({ sandboxId, verbose }) => statusOf(await find(sandboxId), verbose)),
    PingSandbox: method(api.PingRequestSchema, api.PingResponseSchema, async ({ sandboxId }) => {
      await find(sandboxId);
      return {};
    }),
    ShutdownSandbox: method(api.ShutdownSandboxRequestSchema, api.ShutdownSandboxResponseSchema, ({ sandboxId }) => shutdownSandbox(sandboxId)),
    SandboxMetrics: method(api.SandboxMetricsRequestSchema, api.SandboxMetricsResponseSchema, async ({ sandboxId }) => ({
      metrics: { timestamp: timestampNow(), id: sandboxId, data: metricsOf((await find(sandboxId)).task.container) },
    })),
  };
  return {
    services: { "containerd.runtime.sandbox.v1.Sandbox": methods },
    adopt: (bundle) => sandbox !== undefined && addPodFiles(bundle, sandbox.bundle, sandbox.config),
    options: () => sandbox?.options,
    isIdle: () => sandbox === undefined,
  };
}

const NO_STREAMS = { stdin: "", stdout: "", stderr: "", terminal: false };

/** @throws Error; nothing is left but the bundle, which is containerd's. */
async function makeSandbox(request: api.CreateSandboxRequest, given: RuntimeOptions, around: Surroundings): Promise<Sandbox> {
  const { sandboxId: id, bundlePath: bundle, netnsPath: network } = request;
  const config = podConfig(request.options);
  const options = { ...given, streamOwner: rootOfPod(config) };
  const user = userNamespaceOf(config) === undefined ? undefined : ownerOfNetwork(network);
  try {
    const root = makePauseRoot(options.root);
    makePodFiles(bundle, config);
    writeFileSync(join(bundle, SANDBOX_FILE), "");
    const spec = pauseSpec({ id, config, root, network, user: user === undefined ? undefined : `/proc/${process.pid}/fd/${user.number}` });
    writeFileSync(join(bundle, "config.json"), JSON.stringify(spec), { mode: 0o600 });
    // containerd knows no such container, so nobody is to be told what becomes of it.
    const task = await Task.create({ id, bundle, rootfs: [], names: NO_STREAMS, options }, { ...around, publisher: { publish: () => {} } });
    return { id, bundle, options, config, task, createdAt: new Date(), user };
  } catch (error) {
    user?.close();
    unmountRoot(bundle);
    throw error;
  }
}

/** containerd has made the pod's network namespace in its user namespace. */
function ownerOfNetwork(path: string): Fd {
  using network = open(path, O_RDONLY);
  return ownerOf(network);
}

/** Other clients of containerd's may have other configurations. @throws RpcError */
function podConfig(options: Any | undefined): PodSandboxConfig {
  const type = options?.typeUrl.slice(options.typeUrl.lastIndexOf("/") + 1) ?? "";
  if (options === undefined || type !== PodSandboxConfigSchema.typeName) throw new RpcError(CODE.invalidArgument, `sandbox options of type ${JSON.stringify(type)}: only ${PodSandboxConfigSchema.typeName} is known`);
  return fromBinary(PodSandboxConfigSchema, options.value);
}

/** The container goes, and with it all processes in its namespaces; the bundle's files stay for what is to be deleted yet. */
async function stopSandbox(sandbox: Sandbox): Promise<Deleted> {
  const { task } = sandbox;
  if (task.init.state.kind !== "stopped") {
    await task.kill("", SIGNALS.SIGKILL, false).catch((error: unknown) => {
      if (!(error instanceof RpcError && error.code === CODE.notFound)) throw error;
    });
    await task.init.exited;
  }
  return (sandbox.deleted ??= await task.delete(""));
}

async function removeSandbox(sandbox: Sandbox, { reaper }: Surroundings): Promise<void> {
  const { pid, exit } = await stopSandbox(sandbox);
  await operate(reaper, { body: () => deleteMembers(sandbox.options.root, sandbox.id) });
  sandbox.user?.close();
  answerDelete(sandbox.bundle, pid, exit);
}

function statusOf({ id, task, createdAt, deleted }: Sandbox, verbose: boolean) {
  const { state } = task.init;
  const ended = state.kind === "stopped" ? { exitedAt: timestampFromDate(state.exit.at) } : {};
  return {
    sandboxId: id,
    pid: state.pid,
    // CRI's own words. Source: containerd, internal/cri/server/sandbox_status.go.
    state: state.kind === "running" ? "SANDBOX_READY" : "SANDBOX_NOTREADY",
    createdAt: timestampFromDate(createdAt),
    ...ended,
    ...(verbose ? { info: { info: JSON.stringify({ pid: state.pid, processStatus: deleted === undefined ? state.kind : "deleted" }) } } : {}),
  };
}
