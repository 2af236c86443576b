/** The client's side of TTRPC: containerd takes events by it. Source: ttrpc PROTOCOL.md. */
import { connect, type Socket } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { RequestSchema, ResponseSchema } from "../proto/generated/ttrpc_pb.js";
import { encodeFrame, FRAME, FrameReader, type Frame } from "./frame.ts";
import { CODE, RpcError } from "./status.ts";

interface Waiting {
  resolve(payload: Uint8Array): void;
  reject(error: Error): void;
}

export class TtrpcClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  /** Odd ones are the client's. */
  #next = 1;

  constructor(path: string) {
    const reader = new FrameReader();
    this.#socket = connect({ path });
    this.#socket.on("data", (chunk: Buffer) => {
      for (const frame of reader.push(chunk)) this.#settle(frame);
    });
    this.#socket.on("error", (error) => this.#end(error));
    this.#socket.on("close", () => this.#end(new Error(`${path}: the connection has ended`)));
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  /** @throws RpcError as the server answers, `deadlineExceeded` after `timeoutMs`; Error where the connection ends. */
  call(service: string, method: string, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const stream = this.#next;
    this.#next += 2;
    const request = create(RequestSchema, { service, method, payload, timeoutNano: BigInt(timeoutMs) * 1_000_000n });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#take(stream)?.reject(new RpcError(CODE.deadlineExceeded, `${service}/${method}: no answer`)), timeoutMs);
      const done = () => clearTimeout(timer);
      this.#waiting.set(stream, {
        resolve: (answer) => (done(), resolve(answer)),
        reject: (error) => (done(), reject(error)),
      });
      if (!this.isOpen) return this.#take(stream)?.reject(new Error("the connection has ended"));
      this.#socket.write(encodeFrame({ stream, type: FRAME.request, flags: 0, data: toBinary(RequestSchema, request) }));
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(stream: number): Waiting | undefined {
    const waiting = this.#waiting.get(stream);
    this.#waiting.delete(stream);
    return waiting;
  }

  #settle({ stream, type, data }: Frame): void {
    const waiting = type === FRAME.response ? this.#take(stream) : undefined;
    if (waiting === undefined) return;
    const { status, payload } = fromBinary(ResponseSchema, data);
    if (status !== undefined && status.code !== CODE.ok) waiting.reject(new RpcError(status.code, status.message));
    else waiting.resolve(payload);
  }

  #end(error: Error): void {
    this.#socket.destroy();
    for (const stream of this.#waiting.keys()) this.#take(stream)?.reject(error);
  }
}
