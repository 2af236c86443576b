/** What a VMM process is told: one JSON document. Files are named, or given by descriptor where the process is to open nothing. */
import * as v from "valibot";
import { Fd } from "../linux/fd.ts";
import { listenUnix } from "../linux/socket.ts";

const descriptor = v.pipe(v.number(), v.integer(), v.minValue(0));
const file = v.union([v.strictObject({ path: v.string() }), v.strictObject({ fd: descriptor })]);
/** Where to listen: a path, or a socket that listens already. */
const socket = file;
const positive = v.pipe(v.number(), v.integer(), v.minValue(1));
const megabytes = positive;

const device = v.variant("kind", [
  v.strictObject({
    kind: v.literal("block"), file, readOnly: v.optional(v.boolean(), false), serial: v.optional(v.string()),
    bytesPerSecond: v.optional(positive), operationsPerSecond: v.optional(positive),
  }),
  v.strictObject({
    kind: v.literal("net"), tap: v.union([v.string(), v.strictObject({ fd: descriptor })]), mac: v.pipe(v.string(), v.regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)),
    mtu: v.optional(v.pipe(positive, v.minValue(68), v.maxValue(65535))), bytesPerSecond: v.optional(positive),
  }),
  v.strictObject({ kind: v.literal("vsock"), cid: v.pipe(positive, v.minValue(3)), socket }),
  v.strictObject({ kind: v.literal("console"), output: file, input: v.optional(file) }),
  v.strictObject({ kind: v.literal("fs"), tag: v.string(), root: v.string(), readOnly: v.optional(v.boolean(), false) }),
  /** The same, answered by a gofer at the other end of a stream socket; without one it is a place for one that comes later (control.ts). */
  v.strictObject({ kind: v.literal("remote-fs"), tag: v.string(), fd: v.optional(descriptor) }),
  v.strictObject({ kind: v.literal("pmem"), file, readOnly: v.optional(v.boolean(), true) }),
  v.strictObject({ kind: v.literal("rng") }),
  v.strictObject({ kind: v.literal("balloon") }),
]);

const boot = v.strictObject({ kernel: file, initramfs: v.optional(file), commandLine: v.string() });

export const vmConfig = v.strictObject({
  vcpus: v.pipe(positive, v.maxValue(32)),
  memoryMegabytes: v.pipe(megabytes, v.minValue(64), v.multipleOf(2), v.maxValue(1 << 20)),
  /** Memory from the host's pool of huge pages, of 2 MiB, or none; a snapshot's is its file. */
  hugePages: v.optional(v.boolean()),
  /** What the guest may be given besides while it runs; not of huge pages. */
  growthMegabytes: v.optional(v.pipe(megabytes, v.multipleOf(128), v.maxValue(1 << 20))),
  /** Where the serial port's output goes; nowhere without it. */
  serial: v.optional(file),
  /** A unix socket to be told what to do (control.ts). */
  control: v.optional(socket),
  /** /dev/kvm where left out. */
  kvm: v.optional(v.strictObject({ fd: descriptor })),
  /** Before the guest runs, everything but what running it takes is refused: for a process in the jail of jail/enter.ts, with files by descriptor. */
  sealed: v.optional(v.boolean()),
  devices: v.optional(v.array(device), []),
  source: v.variant("kind", [v.strictObject({ kind: v.literal("boot"), ...boot.entries }), v.strictObject({ kind: v.literal("snapshot"), file })]),
});

export type VmConfig = v.InferOutput<typeof vmConfig>;
export type DeviceConfig = VmConfig["devices"][number];
export type FileConfig = v.InferOutput<typeof file>;

/** @throws Error naming the field that is wrong. */
export function parseConfig(text: string): VmConfig {
  const result = v.safeParse(vmConfig, JSON.parse(text));
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new Error(`the machine's configuration: ${v.getDotPath(issue) ?? "document"}: ${issue.message}`);
}

/** A socket that listens. */
export function listenAt(at: FileConfig): Fd {
  return "fd" in at ? new Fd(at.fd) : listenUnix(at.path);
}
