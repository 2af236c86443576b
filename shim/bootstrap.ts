/**
 * What containerd and `start` tell each other. A container's shim is told all that it needs by Create, and answers with its address, which every containerd takes.
 * A sandbox's has its handler's options at its standard input: as an Any until containerd 2.2, in BootstrapParams since 2.3; and its answer is JSON
 * of version 3, which says that it has the task service v3 and the sandbox service. containerd 1.7 and older take no such answer, and ask for no sandbox.
 * Source: containerd, core/runtime/v2/shim.go, parseStartResponse; pkg/shim/util.go, Command; api/runtime/bootstrap/v1.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema, type Any } from "@bufbuild/protobuf/wkt";
import { BootstrapParamsSchema } from "./proto/generated/bootstrap_pb.js";
import { OptionsSchema } from "./proto/generated/runtimeoptions_pb.js";

/** @param id of the sandbox. @param file of its handler, which counts where there are no options. @returns the handler's options. @throws Error for what is none of both. */
export const sandboxOptions = (input: Uint8Array, id: string, file: string): Any | undefined => handedOptions(input, id) ?? (file === "" ? undefined : optionsOf(file));

const optionsOf = (configPath: string): Any => create(AnySchema, { typeUrl: OptionsSchema.typeName, value: toBinary(OptionsSchema, create(OptionsSchema, { configPath })) });

function handedOptions(input: Uint8Array, id: string): Any | undefined {
  if (input.length === 0) return undefined;
  // A message of either kind may be read as the other; only one has the id there.
  const { instanceId, extensions } = fromBinary(BootstrapParamsSchema, input);
  return instanceId === id ? extensions[0]?.value : fromBinary(AnySchema, input);
}

export const sandboxAnswer = (address: string): string => JSON.stringify({ version: 3, address, protocol: "ttrpc" });
