import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { Spec } from "../spec/config.ts";
import { machineSettings, type HostSettings } from "./settings.ts";

const image = mkdtempSync(join(tmpdir(), "tssandbox-settings-"));
writeFileSync(join(image, "image"), "");
afterAll(() => rmSync(image, { recursive: true }));

const MIB = 1 << 20;
const sized = (annotations: Record<string, string>, resources: NonNullable<NonNullable<Spec["linux"]>["resources"]> = {}, host: HostSettings = {}) => {
  const { memoryMegabytes, vcpus } = machineSettings({ ociVersion: "1.2.0", annotations, linux: { resources } }, { image, ...host });
  return [memoryMegabytes, vcpus];
};

test.for([
  ["nothing said", {}, {}, {}, [512, 1]],
  ["the host's configuration", {}, {}, { memoryMiB: 1024, vcpus: 1 }, [1024, 1]],
  ["the container's limits, and what the guest takes besides", {}, { memory: { limit: 64 * MIB }, cpu: { quota: 30_000, period: 100_000 } }, {}, [256, 1]],
  ["the pod's, where the container has none", { "io.kubernetes.cri.sandbox-memory": String(300 * MIB) }, { cpu: { shares: 2 } }, {}, [492, 1]],
  ["a pod without limits", { "io.kubernetes.cri.sandbox-memory": "0", "io.kubernetes.cri.sandbox-cpu-quota": "0" }, {}, {}, [512, 1]],
  ["a pod's limit that is no number", { "io.kubernetes.cri.sandbox-memory": "much" }, {}, {}, [512, 1]],
  ["an annotation", { "dev.tssandbox.vm.memory-mib": "130", "dev.tssandbox.vm.vcpus": "3" }, { memory: { limit: 64 * MIB } }, {}, [130, 3]],
  ["an annotation that is allowed", { "dev.tssandbox.vm.memory-mib": "1024" }, {}, { maxMemoryMiB: 1024 }, [1024, 1]],
] as const)("%s", ([, annotations, resources, host, size]) => {
  expect(sized(annotations, resources, host)).toEqual(size);
});

test.for([
  [{ "dev.tssandbox.vm.memory-mib": "1026" }, { maxMemoryMiB: 1024 }, "must be a whole number from 128 to 1024, is \"1026\""],
  [{ "dev.tssandbox.vm.vcpus": "4" }, { maxVcpus: 2 }, "must be a whole number from 1 to 2, is \"4\""],
  [{ "dev.tssandbox.vm.vcpus": "0x2" }, {}, "must be a whole number from 1 to 32"],
] as const)("refused: %o", ([annotations, host, message]) => {
  expect(() => sized(annotations, {}, host)).toThrow(message);
});
