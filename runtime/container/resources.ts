/** What is done to a container's processes as a whole, and what they use: by its cgroup here or, in mode vm, in its machine's guest. */
import type { OomSource } from "../cgroups/index.ts";
import { statsJson } from "../cgroups/stats.ts";
import type { Logger } from "../log.ts";
import type { LinuxResources } from "../spec/config.ts";
import type { Checked } from "../spec/validate.ts";
import { askAgent, oomEventsInGuest, statsInGuest } from "../vm/ask.ts";
import { isOpen } from "../vm/group.ts";
import { guestResources, hostChange } from "../vm/host-resources.ts";
import { pauseInMachine, resumeInMachine } from "../vm/pause.ts";
import { fitMachine, noteMemoryLimit } from "../vm/resize.ts";
import { cgroupOf } from "./status.ts";
import type { Container } from "./store.ts";

/** @throws CgroupError, Error */
export function freezeContainer(container: Container): void {
  if (container.record.mode === "vm") pauseInMachine(container);
  else cgroupOf(container).freeze();
}

/** @throws CgroupError, Error */
export function thawContainer(container: Container): void {
  if (container.record.mode === "vm") resumeInMachine(container);
  else cgroupOf(container).thaw();
}

/** @throws CgroupError, Error */
export function updateContainer(container: Container, resources: Checked<LinuxResources>, log: Logger): void {
  if (container.record.mode === "vm") updateInMachine(container, log.warned(resources), log);
  else cgroupOf(container).update(log.warned(resources));
}

/** The guest's kernel keeps the container's limits, the host its machine's, which grows and shrinks with them. */
function updateInMachine(container: Container, resources: LinuxResources, log: Logger): void {
  askAgent(container, { do: "update", resources: guestResources(resources) });
  cgroupOf(container).update(hostChange(resources, isOpen(container.record)));
  const { limit } = resources.memory ?? {};
  if (limit === undefined) return;
  noteMemoryLimit(container, Number(limit));
  fitMachine(container, log);
}

/** JSON, as `events` prints it. @throws CgroupError, Error */
export function statsOf(container: Container): string {
  const data: unknown = container.record.mode === "vm" ? statsInGuest(container) : cgroupOf(container).stats();
  return statsJson({ type: "stats", id: container.record.id, data });
}

/** To be told of OOM kills; undefined where there is no memory controller. @throws Error, SysError */
export function oomEventsOf(container: Container): OomSource | undefined {
  return container.record.mode === "vm" ? oomEventsInGuest(container) : cgroupOf(container).oomEvents();
}
