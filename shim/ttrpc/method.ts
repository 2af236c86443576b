/** A call by its messages. */
import { create, fromBinary, toBinary, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import type { Metadata, Method } from "./server.ts";

export function method<I extends DescMessage, O extends DescMessage>(input: I, output: O, run: (request: MessageShape<I>, metadata: Metadata) => Promise<MessageInitShape<O>> | MessageInitShape<O>): Method {
  return async (payload, metadata) => toBinary(output, create(output, await run(fromBinary(input, payload), metadata)));
}
