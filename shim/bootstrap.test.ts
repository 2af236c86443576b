import { create, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { sandboxAnswer, sandboxOptions } from "./bootstrap.ts";
import { BootstrapParamsSchema } from "./proto/generated/bootstrap_pb.js";

const options = { typeUrl: "runtimeoptions.v1.Options", value: Uint8Array.of(0x12, 2, 0x2f, 0x78) };

test("a handler's options, as containerd 2.1 and as 2.3 hand them over", () => {
  expect(sandboxOptions(toBinary(AnySchema, create(AnySchema, options)), "abc", "")).toMatchObject(options);
  const params = create(BootstrapParamsSchema, { instanceId: "abc", namespace: "k8s.io", extensions: [{ value: options }] });
  expect(sandboxOptions(toBinary(BootstrapParamsSchema, params), "abc", "")).toMatchObject(options);
});

test("a handler without any", () => {
  expect(sandboxOptions(Buffer.alloc(0), "abc", "")).toBeUndefined();
  expect(sandboxOptions(toBinary(BootstrapParamsSchema, create(BootstrapParamsSchema, { instanceId: "abc" })), "abc", "")).toBeUndefined();
  expect(sandboxOptions(Buffer.alloc(0), "abc", "/x")).toMatchObject(options);
});

test("the answer", () => {
  expect(JSON.parse(sandboxAnswer("unix:///run/containerd/s/1"))).toEqual({ version: 3, address: "unix:///run/containerd/s/1", protocol: "ttrpc" });
});
