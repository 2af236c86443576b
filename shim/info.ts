/** `-info`: what containerd 2 wants to know of a runtime before it asks for idmapped mounts. Source: containerd, core/runtime/v2/task_manager.go. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { ownFeatures } from "../runtime/commands/features.ts";
import { VERSION } from "../runtime/version.ts";
import { RuntimeInfoSchema } from "./proto/generated/introspection_pb.js";

/** As containerd has registered the specification's type. Source: containerd, core/runtime/typeurl.go. */
const FEATURES = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/** @param options of a handler, an Any, or nothing. @returns the answer, encoded. */
export function runtimeInfo(options: Uint8Array): Uint8Array {
  const given = options.length === 0 ? {} : { options: fromBinary(AnySchema, options) };
  const features = create(AnySchema, { typeUrl: FEATURES, value: Buffer.from(JSON.stringify(ownFeatures())) });
  return toBinary(RuntimeInfoSchema, create(RuntimeInfoSchema, { name: "io.containerd.tssandbox.v1", version: { version: VERSION }, ...given, features }));
}
