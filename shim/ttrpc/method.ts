/** A call by its messages. */
import { create, fromBinary, toBinary, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import type { Method } from "./server.ts";

export function method<I extends DescMessage, O extends DescMessage>(input: I, output: O, run: (request: MessageShape<I>) => Promise<MessageInitShape<O>> | MessageInitShape<O>): Method {
  return async (payload) => toBinary(output, create(output, await run(fromBinary(input, payload))));
}
