import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { Spec } from "../spec/config.ts";
import { machineSettings, requireHugePages, type HostSettings } from "./settings.ts";

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

const asked = (annotations: Record<string, string>, host: HostSettings = {}) => machineSettings({ ociVersion: "1.2.0", annotations }, { image, ...host });

test("an image by one of the host's names for it", () => {
  expect(asked({}, { images: { other: "/nowhere" } }).kernel).toBe(join(image, "kernel"));
  expect(asked({ "dev.tssandbox.vm.image": "other" }, { image: "/nowhere", images: { other: image } }).kernel).toBe(join(image, "kernel"));
});

test.for([
  ["never", undefined, false], ["annotation", undefined, false], ["annotation", "true", true], ["annotation", "false", false], ["always", undefined, true], ["always", "false", true],
] as const)("huge pages: %s, and the annotation says %s", ([hugePages, annotation, expected]) => {
  expect(asked(annotation === undefined ? {} : { "dev.tssandbox.vm.huge-pages": annotation }, { hugePages }).hugePages).toBe(expected);
});

test.for([
  [undefined, undefined, undefined], [50_000, undefined, 50_000], [undefined, "20000", 20_000], [50_000, "20000", 20_000],
] as const)("a card's rate: the host's %s, the annotation's %s", ([host, annotation, expected]) => {
  expect(asked(annotation === undefined ? {} : { "dev.tssandbox.vm.net-bytes-per-second": annotation }, host === undefined ? {} : { netBytesPerSecond: host }).netBytesPerSecond).toBe(expected);
});

const growth = (annotations: Record<string, string>, host: HostSettings) => asked(annotations, host).growthMegabytes;

test("room to grow: up to the host's most, in sections, and never with huge pages", () => {
  // Strict overcommit has no room that may never be used.
  const strict = readFileSync("/proc/sys/vm/overcommit_memory", "utf8").trim() === "2";
  expect(growth({ "dev.tssandbox.vm.memory-mib": "200" }, { maxMemoryMiB: 512 })).toBe(strict ? 0 : 256);
  expect([growth({}, { maxMemoryMiB: 512 }), growth({}, { maxMemoryMiB: 1024, hugePages: "always" })]).toEqual([0, 0]);
  expect(growth({}, {})).toBeLessThan(totalmem() / MIB);
});

test("huge pages that the host has not are asked for in vain before anything is made", () => {
  expect(() => requireHugePages({ ...asked({}), hugePages: true, memoryMegabytes: 1 << 20 })).toThrow(/needs 524288 huge pages of 2 MiB, and the host has \d+ left/);
});

test.for([
  [{ "dev.tssandbox.vm.image": "other" }, { images: { debian: "/x" } }, 'must be one of the host\'s vm.images (debian), is "other"'],
  [{ "dev.tssandbox.vm.image": "/x" }, {}, "must be one of the host's vm.images (there are none)"],
  [{ "dev.tssandbox.vm.image": "constructor" }, { images: {} }, "must be one of the host's vm.images"],
  [{ "dev.tssandbox.vm.huge-pages": "true" }, {}, "this host lends no huge pages"],
  [{ "dev.tssandbox.vm.huge-pages": "yes" }, { hugePages: "annotation" }, "must be true or false"],
  [{ "dev.tssandbox.vm.net-bytes-per-second": "50001" }, { netBytesPerSecond: 50_000 }, "must be a whole number from 10000 to 50000"],
  [{ "dev.tssandbox.vm.memory-mib": "1026" }, { maxMemoryMiB: 1024 }, "must be a whole number from 128 to 1024, is \"1026\""],
  [{ "dev.tssandbox.vm.vcpus": "4" }, { maxVcpus: 2 }, "must be a whole number from 1 to 2, is \"4\""],
  [{ "dev.tssandbox.vm.vcpus": "0x2" }, {}, "must be a whole number from 1 to 32"],
] as const)("refused: %o", ([annotations, host, message]) => {
  expect(() => sized(annotations, {}, host)).toThrow(message);
});
