/**
 * A running container in a directory, and containers made from that:
 *
 *   machine        the VMM's snapshot (vmm/snapshot/file.ts): devices, gofers' state, memory
 *   config.json    the container's configuration, with absolute paths
 *   snapshot.json  what else a machine needs to go on; written last: a directory without it is no snapshot
 */
import { mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as v from "valibot";
import { inStep } from "../../linux/errors.ts";
import { Fd } from "../../linux/fd.ts";
import { statusOf } from "../container/status.ts";
import { ContainerError, type Container } from "../container/store.ts";
import { rootWritesOf } from "../sandbox/files.ts";
import type { Mount, Spec } from "../spec/config.ts";
import { isBind, parseMountOptions } from "../spec/mount-parse.ts";
import { askAgent } from "./ask.ts";
import { controlMachine } from "./control.ts";
import { guestIdOf, isAlone, GUEST_ID } from "./group.ts";
import type { HostedMachine } from "./host-resources.ts";
import { cardsOf } from "./network.ts";
import { memoryOf } from "./resize.ts";
import type { MachineSettings } from "./settings.ts";

const MACHINE = "machine";
const FACTS = "snapshot.json";

const facts = v.strictObject({
  version: v.literal(2), vcpus: v.number(), memoryMegabytes: v.number(), growthMegabytes: v.number(), grownMegabytes: v.number(),
  cards: v.array(v.string()),
  /** The guest's, which the memory refers to. */
  image: v.strictObject({ size: v.number(), modified: v.number() }),
});

/**
 * Saves a running container, which goes on afterwards. Its processes stand still in the guest when the machine is saved, so that none of a clone's runs
 * before it has randomness, a clock and a name of its own.
 * @param folder is made. @throws ContainerError, Error
 */
export function saveContainer(container: Container, { image }: Pick<MachineSettings, "image">, folder: string): void {
  const machine = refuse(container);
  const grownMegabytes = machine.growthMegabytes === 0 ? 0 : memoryOf(container, machine).plugged;
  mkdirSync(folder, { mode: 0o700 });
  try {
    askAgent(container, { do: "freeze" });
    try {
      saveMachine(container, join(folder, MACHINE));
    } finally {
      askAgent(container, { do: "thaw" });
    }
    writeFileSync(join(folder, "config.json"), JSON.stringify(configOf(container)), { mode: 0o600 });
    const { vcpus, memoryMegabytes, growthMegabytes } = machine;
    writeFileSync(join(folder, FACTS), JSON.stringify({ version: 2, vcpus, memoryMegabytes, growthMegabytes, grownMegabytes, cards: cardsOf(container.directory), image: stampOf(image) }), { mode: 0o600 });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** @returns its machine. @throws ContainerError for what cannot be saved */
function refuse(container: Container): HostedMachine {
  const { id, mode, annotations, machine } = container.record;
  const status = statusOf(container);
  if (mode !== "vm") throw new ContainerError(`${id} has no machine to save: its mode is ${mode}`);
  if (status !== "running") throw new ContainerError(`cannot save a ${status} container: ${id}`);
  if (!isAlone(container)) throw new ContainerError(`${id} shares its machine with others: it cannot be saved alone`);
  if (rootWritesOf({ annotations } as Spec) === "host") throw new ContainerError(`${id} writes to its root file system on the host, which two cannot do from one snapshot`);
  if (machine === undefined) throw new ContainerError(`${id} was made by an older version, which did not note its machine's size`);
  return machine;
}

function saveMachine({ directory }: Container, path: string): void {
  controlMachine(directory, { do: "pause" });
  try {
    using file = new Fd(openSync(path, "wx+", 0o600));
    controlMachine(directory, { do: "snapshot" }, [file]);
  } finally {
    controlMachine(directory, { do: "resume" });
  }
}

/** Paths are absolute: the new bundle is elsewhere. A cgroup is for one container alone. */
function configOf(container: Container): Spec {
  const spec = container.spec();
  const { cgroupsPath: _path, resources, ...linux } = spec.linux ?? {};
  const { memoryLimit } = container.record;
  const limited = memoryLimit === undefined ? resources : { ...resources, memory: { ...resources?.memory, limit: memoryLimit } };
  const absolute = (mount: Mount): Mount => (isBind(parseMountOptions(mount.options)) ? { ...mount, source: resolve(container.record.bundle, mount.source ?? "") } : mount);
  return {
    ...spec,
    mounts: (spec.mounts ?? []).map(absolute),
    root: { ...spec.root, path: container.record.rootfs }, linux: { ...linux, resources: limited }, annotations: { ...spec.annotations, [GUEST_ID]: guestIdOf(container.record) },
  };
}

function stampOf(path: string): { readonly size: number; readonly modified: number } {
  const { size, mtimeMs } = statSync(path);
  return { size, modified: mtimeMs };
}

/** What a machine goes on from. */
export interface Restored {
  /** The VMM's file. */
  readonly machine: string;
  /** Hardware addresses of the original's network devices. */
  readonly cards: readonly string[];
  /** MiB that the guest had been given while it ran. */
  readonly grownMegabytes: number;
}

/** The machine that goes on from a snapshot. @throws Error where it cannot, or is none */
export function settingsFrom(folder: string, settings: MachineSettings): { readonly settings: MachineSettings; readonly from: Restored } {
  const { image, version: _version, cards, grownMegabytes, ...size } = inStep("snapshot", () => v.parse(facts, JSON.parse(readFileSync(join(folder, FACTS), "utf8"))));
  const stamp = stampOf(settings.image);
  if (stamp.size !== image.size || stamp.modified !== image.modified) throw new Error(`the guest's image ${settings.image} is not the one that the snapshot was made with`);
  // Its memory is the file.
  return { settings: { ...settings, ...size, hugePages: false }, from: { machine: join(folder, MACHINE), cards, grownMegabytes } };
}
