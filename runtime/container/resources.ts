/** What is done to a container's processes as a whole, and what they use: by its cgroup here or, in mode vm, in its machine's guest. */
import { statsJson, type OomSource } from "../cgroups/index.ts";
import type { Logger } from "../log.ts";
import type { LinuxResources } from "../spec/config.ts";
import type { Checked } from "../spec/validate.ts";
import { askAgent, oomEventsInGuest } from "../vm/ask.ts";
import { pauseInMachine, resumeInMachine } from "../vm/pause.ts";
import { cgroupOf } from "./status.ts";
import type { Container } from "./store.ts";

/** @throws CgroupError, Error */
export function freezeContainer(container: Container): void {
  if (container.record.mode === "vm") pauseInMachine(container);
  // In a machine: its stand-in, and that it is paused.
  cgroupOf(container).freeze();
}

/** @throws CgroupError, Error */
export function thawContainer(container: Container): void {
  if (container.record.mode === "vm") resumeInMachine(container);
  cgroupOf(container).thaw();
}

/** A machine keeps the size that it was made with. @throws CgroupError, Error */
export function updateContainer(container: Container, resources: Checked<LinuxResources>, log: Logger): void {
  if (container.record.mode === "vm") askAgent(container, { do: "update", resources: log.warned(resources) });
  else cgroupOf(container).update(log.warned(resources));
}

/** JSON, as `events` prints it. @throws CgroupError, Error */
export function statsOf(container: Container): string {
  const data: unknown = container.record.mode === "vm" ? askAgent(container, { do: "stats" }) : cgroupOf(container).stats();
  return statsJson({ type: "stats", id: container.record.id, data });
}

/** To be told of OOM kills; undefined where there is no memory controller. @throws Error, SysError */
export function oomEventsOf(container: Container): OomSource | undefined {
  return container.record.mode === "vm" ? oomEventsInGuest(container) : cgroupOf(container).oomEvents();
}
