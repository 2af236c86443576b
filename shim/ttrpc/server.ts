/** The server's side of TTRPC, unary calls only: containerd makes no others of a shim. Source: ttrpc PROTOCOL.md. */
import type { Server, Socket } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { messageOf } from "../../linux/errors.ts";
import { RequestSchema, ResponseSchema } from "../proto/generated/ttrpc_pb.js";
import { encodeFrame, FRAME, FrameReader, type Frame } from "./frame.ts";
import { CODE, RpcError } from "./status.ts";

/** What comes with a request beside its message, by name. */
export type Metadata = ReadonlyMap<string, string>;

/** From a request's message to its answer's, encoded. @throws RpcError, or what is told as `unknown` */
export type Method = (payload: Uint8Array, metadata: Metadata) => Promise<Uint8Array>;

/** Service, then method, to what answers it. */
export type Services = Readonly<Record<string, Readonly<Record<string, Method>>>>;

export function serve(server: Server, services: Services): void {
  server.on("connection", (socket: Socket) => {
    const reader = new FrameReader();
    // A caller that is gone needs no answer.
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const frame of reader.push(chunk)) if (frame.type === FRAME.request) void answer(socket, frame, services);
      } catch {
        socket.destroy();
      }
    });
  });
}

async function answer(socket: Socket, { stream, flags, data }: Frame, services: Services): Promise<void> {
  const response = await respond(flags, data, services);
  if (socket.writable) socket.write(encodeFrame({ stream, type: FRAME.response, flags: 0, data: response }));
}

async function respond(flags: number, data: Uint8Array, services: Services): Promise<Uint8Array> {
  try {
    if (flags !== 0) throw new RpcError(CODE.unimplemented, "streams are not served here");
    const { service, method, payload, metadata } = fromBinary(RequestSchema, data);
    const run = Object.hasOwn(services, service) && Object.hasOwn(services[service] ?? {}, method) ? services[service]?.[method] : undefined;
    if (run === undefined) throw new RpcError(CODE.unimplemented, `${service}/${method} is not implemented`);
    return toBinary(ResponseSchema, create(ResponseSchema, { payload: await run(payload, new Map(metadata.map(({ key, value }) => [key, value]))) }));
  } catch (error) {
    const code = error instanceof RpcError ? error.code : CODE.unknown;
    return toBinary(ResponseSchema, create(ResponseSchema, { status: { code, message: messageOf(error) } }));
  }
}
