import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { runtimeInfo } from "./info.ts";
import { RuntimeInfoSchema } from "./proto/generated/introspection_pb.js";

test("a runtime that has user namespaces and idmapped mounts", () => {
  const { name, features } = fromBinary(RuntimeInfoSchema, runtimeInfo(Buffer.alloc(0)));
  expect(name).toBe("io.containerd.tssandbox.v1");
  const { linux } = JSON.parse(Buffer.from(features?.value ?? []).toString()) as { linux: { namespaces: string[]; mountExtensions: { idmap: { enabled: boolean } } } };
  expect(linux.namespaces).toContain("user");
  expect(linux.mountExtensions.idmap.enabled).toBe(true);
});
