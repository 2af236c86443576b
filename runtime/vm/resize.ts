/**
 * A machine's memory while it runs. It boots with what its first container or its pod has asked for; where its containers' limits come to need more, by
 * `update` or by one that joins, it is given more, and where they need less it is asked to give that back (vmm/devices/mem.ts). The guest takes and
 * gives as it can, and the host's limit follows what it has.
 */
import { dirname } from "node:path";
import { waitUntil } from "../../linux/sleep.ts";
import { cgroupOf, statusOf } from "../container/status.ts";
import { Container } from "../container/store.ts";
import type { Logger } from "../log.ts";
import { controlMachine } from "./control.ts";
import { machineDirectory } from "./group.ts";
import { growthFor, hostMemory, type HostedMachine } from "./host-resources.ts";

/** For a guest to take or give what it is asked, in milliseconds: a second for a gibibyte, on hardware that is not busy. */
const PATIENCE_MS = 20_000;

/** Notes a container's new limit. @param limit bytes; -1 for none */
export function noteMemoryLimit(container: Container, limit: number): void {
  using _lock = container.lock();
  container.reload();
  container.save({ ...container.record, memoryLimit: limit });
}

/** Makes a container's machine as large as the limits of all in it need. @throws SysError; Error with the VMM's reason */
export function fitMachine(container: Container, log: Logger): void {
  const directory = machineDirectory(container);
  const root = dirname(directory);
  const first = directory === container.directory ? container : Container.open(root, container.record.sandbox ?? "");
  const { machine } = first.record;
  if (machine === undefined || machine.growthMegabytes === 0) return;
  using _lock = first.lock();
  const members = Container.list(root).filter(({ record: { id, sandbox } }) => id === first.record.id || sandbox === first.record.id);
  resize(first, machine, growthFor(machine, members.filter((member) => statusOf(member) !== "stopped").map(limitOf)), log);
}

function limitOf(container: Container): number {
  return container.record.memoryLimit ?? Number(container.spec().linux?.resources?.memory?.limit ?? 0);
}

function resize(first: Container, machine: HostedMachine, wanted: number, log: Logger): void {
  const cgroup = cgroupOf(first);
  const before = memoryOf(first, machine);
  if (before.requested === wanted && before.plugged === wanted) return;
  // More on the host before the guest takes it, less after it has given it back.
  cgroup.update(hostMemory({ ...machine, grownMegabytes: Math.max(wanted, before.plugged) }));
  controlMachine(first.directory, { do: "memory", megabytes: wanted });
  let { plugged } = before;
  const done = waitUntil(PATIENCE_MS, () => ({ plugged } = memoryOf(first, machine)).plugged === wanted);
  if (!done) log.warn(`the guest was asked to have ${wanted} MiB beside those it booted with, and has ${plugged}`);
  cgroup.update(hostMemory({ ...machine, grownMegabytes: Math.max(wanted, plugged) }));
}

/** MiB beside what it booted with. A VMM that was taken over may say anything. */
export function memoryOf({ directory }: Container, { growthMegabytes }: HostedMachine): { readonly requested: number; readonly plugged: number } {
  const { requested, plugged } = controlMachine(directory, { do: "memory" });
  const bounded = (value: unknown) => (typeof value === "number" && value >= 0 && value <= growthMegabytes ? value : growthMegabytes);
  return { requested: bounded(requested), plugged: bounded(plugged) };
}
