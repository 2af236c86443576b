/** Pods as the kubelet asks for them. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { Containerd } from "../containerd.ts";
import { BUSYBOX } from "../images.ts";
import { eventually } from "../support.ts";
import { CriClient } from "./client.ts";
import * as api from "./generated/cri_pb.js";
import { networkOf, startNode } from "./node.ts";
import { PortForward, RemoteCommand, type Asked } from "./streaming.ts";
import { WebSocketCommand } from "./websocket.ts";

/** What a message is made from. */
type Init<S extends DescMessage> = Exclude<MessageInitShape<S>, MessageShape<S>>;
type PodConfig = Init<typeof api.PodSandboxConfigSchema>;
type ContainerConfig = Init<typeof api.ContainerConfigSchema>;

/** What a pod is asked for beside its name. */
export interface PodMore {
  readonly sysctls?: Record<string, string>;
  readonly security?: Init<typeof api.LinuxSandboxSecurityContextSchema>;
}

/** What a container is asked for beside its script. */
export interface More extends Pick<ContainerConfig, "command" | "mounts" | "stdin" | "stdinOnce" | "tty"> {
  readonly resources?: Init<typeof api.LinuxContainerResourcesSchema>;
  readonly security?: Init<typeof api.LinuxContainerSecurityContextSchema>;
}

/** As the kubelet asks: each container its own pid namespace. */
export const namespaceOptions = { network: api.NamespaceMode.POD, pid: api.NamespaceMode.CONTAINER, ipc: api.NamespaceMode.POD };

/** A node, and the kubelet's view of it. */
export class Pods implements AsyncDisposable {
  readonly containerd: Containerd;
  readonly cri: CriClient;

  readonly #binaries: string | undefined;

  private constructor(containerd: Containerd, binaries: string | undefined) {
    this.#binaries = binaries;
    this.containerd = containerd;
    this.cri = new CriClient(containerd.workspace.path("containerd.sock"));
  }

  /** @param binaries of a containerd that is not installed. */
  static async start(binaries?: string): Promise<Pods> {
    return new Pods(await startNode(binaries), binaries);
  }

  async run(name: string, handler: string, { sysctls = {}, security = {} }: PodMore = {}): Promise<Pod> {
    const { workspace } = this.containerd;
    const logDirectory = workspace.path("logs", name);
    mkdirSync(logDirectory, { recursive: true });
    const config: PodConfig = {
      metadata: { name, uid: name, namespace: "default", attempt: 0 },
      hostname: name,
      logDirectory,
      dnsConfig: { servers: ["10.0.0.10"], searches: ["default.svc"], options: [] },
      linux: { cgroupParent: workspace.cgroup, sysctls, securityContext: { namespaceOptions, ...security } },
    };
    return new Pod(this, await this.cri.runPod(config, handler), config);
  }

  /** The status of a container that has ended. */
  exited(id: string) {
    return eventually("it ends", async () => {
      const status = await this.cri.status(id);
      return status?.state === api.ContainerState.CONTAINER_EXITED && status;
    }, 30);
  }

  async exec(containerId: string, cmd: string[], { stdin = false, tty = false }: Asked = {}): Promise<RemoteCommand> {
    return RemoteCommand.connect(await this.cri.execStream({ containerId, cmd, stdin, tty, stdout: true, stderr: !tty }), this.#network, { stdin, tty });
  }

  /** By a WebSocket, with all of its streams. */
  async execByWebSocket(containerId: string, cmd: string[]): Promise<WebSocketCommand> {
    return WebSocketCommand.connect(await this.cri.execStream({ containerId, cmd, stdin: true, tty: false, stdout: true, stderr: true }), this.#network);
  }

  async attach(containerId: string, { stdin = false, tty = false }: Asked = {}): Promise<RemoteCommand> {
    return RemoteCommand.connect(await this.cri.attach({ containerId, stdin, tty, stdout: true, stderr: !tty }), this.#network, { stdin, tty });
  }

  async portForward(pod: Pod): Promise<PortForward> {
    return PortForward.connect(await this.cri.portForward(pod.id), this.#network);
  }

  get #network(): string {
    return networkOf(this.containerd.workspace);
  }

  /** A new node in place of this one, which a test has failed on: whatever that has left would fail the next. What containerd and the shims have said is told. */
  async renewed(): Promise<Pods> {
    process.stdout.write(`${this.containerd.lastWords()}\n`);
    await this[Symbol.asyncDispose]();
    return Pods.start(this.#binaries);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cri[Symbol.dispose]();
    await this.containerd[Symbol.asyncDispose]();
  }
}

export class Pod {
  readonly id: string;
  readonly config: PodConfig;
  readonly #pods: Pods;

  constructor(pods: Pods, id: string, config: PodConfig) {
    this.#pods = pods;
    this.id = id;
    this.config = config;
  }

  async create(name: string, script: string, { resources = {}, security = {}, ...rest }: More = {}): Promise<string> {
    const config: ContainerConfig = {
      metadata: { name, attempt: 0 },
      image: { image: BUSYBOX.name },
      command: ["sh", "-c", script],
      logPath: `${name}.log`,
      ...rest,
      linux: { resources, securityContext: { namespaceOptions, ...security } },
    };
    return this.#pods.cri.create({ podSandboxId: this.id, config, sandboxConfig: this.config });
  }

  async start(name: string, script: string, more: More = {}): Promise<string> {
    const id = await this.create(name, script, more);
    await this.#pods.cri.start(id);
    return id;
  }

  /** The lines of a container's log, without time stamps: `stdout F text`. */
  log(name: string): string[] {
    const file = `${this.config.logDirectory}/${name}.log`;
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => line.slice(line.indexOf(" ") + 1)) : [];
  }

  /** Of all its containers, and itself: nothing is left on the node. */
  async remove(): Promise<void> {
    await this.#pods.cri.removePod(this.id);
    await this.#pods.containerd.expectNothingLeft(this.id);
  }
}

/** A script that ends with 3 when it is told to. */
export const LOOP = "trap 'exit 3' TERM; while :; do sleep 0.1; done";
