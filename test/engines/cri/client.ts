/** A client of the CRI socket: what the kubelet asks of containerd. */
import { create, fromBinary, toBinary, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import * as api from "./generated/cri_pb.js";

/** The kubelet's own (runtimeRequestTimeout). */
const DEADLINE_MS = 120_000;

export class CriClient implements Disposable {
  readonly #client: Client;

  /** @param path of the socket. */
  constructor(path: string) {
    this.#client = new Client(`unix://${path}`, credentials.createInsecure());
  }

  /** @throws the service's error, with `details`. */
  #call<I extends DescMessage, O extends DescMessage>(method: string, input: I, output: O, request: MessageInitShape<I>): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        `/runtime.v1.RuntimeService/${method}`,
        (message: MessageShape<I>) => Buffer.from(toBinary(input, message)),
        (bytes) => fromBinary(output, bytes),
        create(input, request),
        { deadline: Date.now() + DEADLINE_MS },
        (error, answer) => (error !== null || answer === undefined ? reject(error ?? new Error(`${method}: no answer`)) : resolve(answer)),
      );
    });
  }

  async runPod(config: MessageInitShape<typeof api.PodSandboxConfigSchema>, runtimeHandler: string): Promise<string> {
    return (await this.#call("RunPodSandbox", api.RunPodSandboxRequestSchema, api.RunPodSandboxResponseSchema, { config, runtimeHandler })).podSandboxId;
  }

  /** Ids of all there are. */
  async listPods(): Promise<string[]> {
    return (await this.#call("ListPodSandbox", api.EmptySchema, api.ListPodSandboxResponseSchema, {})).items.map(({ id }) => id);
  }

  async podStatus(podSandboxId: string) {
    return (await this.#call("PodSandboxStatus", api.PodSandboxRequestSchema, api.PodSandboxStatusResponseSchema, { podSandboxId })).status;
  }

  async stopPod(podSandboxId: string): Promise<void> {
    await this.#call("StopPodSandbox", api.PodSandboxRequestSchema, api.EmptySchema, { podSandboxId });
  }

  async removePod(podSandboxId: string): Promise<void> {
    await this.stopPod(podSandboxId);
    await this.#call("RemovePodSandbox", api.PodSandboxRequestSchema, api.EmptySchema, { podSandboxId });
  }

  async create(request: MessageInitShape<typeof api.CreateContainerRequestSchema>): Promise<string> {
    return (await this.#call("CreateContainer", api.CreateContainerRequestSchema, api.CreateContainerResponseSchema, request)).containerId;
  }

  async start(containerId: string): Promise<void> {
    await this.#call("StartContainer", api.ContainerRequestSchema, api.EmptySchema, { containerId });
  }

  /** @param seconds until SIGKILL. */
  async stop(containerId: string, seconds: number): Promise<void> {
    await this.#call("StopContainer", api.ContainerRequestSchema, api.EmptySchema, { containerId, timeout: BigInt(seconds) });
  }

  async remove(containerId: string): Promise<void> {
    await this.#call("RemoveContainer", api.ContainerRequestSchema, api.EmptySchema, { containerId });
  }

  async status(containerId: string) {
    return (await this.#call("ContainerStatus", api.ContainerRequestSchema, api.ContainerStatusResponseSchema, { containerId })).status;
  }

  async stats(containerId: string) {
    return (await this.#call("ContainerStats", api.ContainerRequestSchema, api.ContainerStatsResponseSchema, { containerId })).stats;
  }

  async update(containerId: string, linux: MessageInitShape<typeof api.LinuxContainerResourcesSchema>): Promise<void> {
    await this.#call("UpdateContainerResources", api.UpdateContainerResourcesRequestSchema, api.EmptySchema, { containerId, linux });
  }

  async exec(containerId: string, ...cmd: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const { exitCode, stdout, stderr } = await this.#call("ExecSync", api.ExecSyncRequestSchema, api.ExecSyncResponseSchema, { containerId, cmd, timeout: 30n });
    return { code: exitCode, stdout: Buffer.from(stdout).toString(), stderr: Buffer.from(stderr).toString() };
  }

  /** @returns the address of the stream. */
  async execStream(request: MessageInitShape<typeof api.ExecRequestSchema>): Promise<string> {
    return (await this.#call("Exec", api.ExecRequestSchema, api.StreamResponseSchema, request)).url;
  }

  async attach(request: MessageInitShape<typeof api.AttachRequestSchema>): Promise<string> {
    return (await this.#call("Attach", api.AttachRequestSchema, api.StreamResponseSchema, request)).url;
  }

  async portForward(podSandboxId: string): Promise<string> {
    return (await this.#call("PortForward", api.PortForwardRequestSchema, api.StreamResponseSchema, { podSandboxId })).url;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
