import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { afterAll, expect, test } from "vitest";
import { readOptions } from "./options.ts";
import { OptionsSchema as RuncOptionsSchema } from "./proto/generated/runc_pb.js";
import { OptionsSchema } from "./proto/generated/runtimeoptions_pb.js";

const directory = mkdtempSync(join(tmpdir(), "tss-options-"));
afterAll(() => rmSync(directory, { recursive: true }));

function fromFile(content: string) {
  const configPath = join(directory, "config.json");
  writeFileSync(configPath, content);
  const value = toBinary(OptionsSchema, create(OptionsSchema, { configPath }));
  return readOptions(create(AnySchema, { typeUrl: "types.containerd.io/runtimeoptions.v1.Options", value }), "k8s.io");
}

test("without any: a sandbox", () => {
  expect(readOptions(undefined, "k8s.io")).toMatchObject({ config: { mode: "sentry" }, root: "/run/containerd/tssandbox/k8s.io" });
});

test("the file that ConfigPath names", () => {
  expect(fromFile(`{"mode":"namespace","root":"/run/x"}`)).toMatchObject({ config: { mode: "namespace" }, root: "/run/x/k8s.io", systemdCgroup: false });
  expect(fromFile(`{"floor":"vm"}`)).toMatchObject({ config: { mode: "vm" } });
});

test.each([
  [`{"mode":"none"}`, /config\.json: mode: /],
  [`{"moed":"sentry"}`, /config\.json: moed: /],
  [`{"root":"run"}`, /config\.json: root: /],
  [`{`, /config\.json: /],
])("refused: %s", (content, message) => {
  expect(() => fromFile(content)).toThrow(message);
});

test("runc's, as docker sends them", () => {
  const value = toBinary(RuncOptionsSchema, create(RuncOptionsSchema, { root: "/run/docker", systemdCgroup: true, noNewKeyring: true, ioUid: 1, ioGid: 2 }));
  expect(readOptions(create(AnySchema, { typeUrl: "containerd.runc.v1.Options", value }), "moby")).toEqual({ config: { mode: "sentry" }, root: "/run/docker/moby", systemdCgroup: true, noPivot: false, newKeyring: false, streamOwner: { uid: 1, gid: 2 } });
});

test("runc's, as containerd 2 sends them for a handler with user namespaces: the file by another name", () => {
  const value = toBinary(RuncOptionsSchema, create(RuncOptionsSchema, { binaryName: "/no/such/file.json" }));
  expect(() => readOptions(create(AnySchema, { typeUrl: "containerd.runc.v1.Options", value }), "k8s.io")).toThrow("/no/such/file.json");
});

test("somebody else's are refused", () => {
  expect(() => readOptions(create(AnySchema, { typeUrl: "other.Options" }), "x")).toThrow(/options of type other\.Options/);
});
