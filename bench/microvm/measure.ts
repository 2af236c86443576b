/** What is measured of a VMM, once. Times are milliseconds. */
import { connect } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { rmSync } from "node:fs";
import { processorTime, residentMemory, type VmmProcess } from "./process.ts";
import { MEGABYTES, startOurs, type Files, type Vmm } from "./vmms.ts";

export type Values = Readonly<Record<string, number>>;

const PATIENCE_SECONDS = 120;

/** From the execution of the VMM to the first line of the guest's first program. */
export async function boot(vmm: Vmm, files: Files): Promise<Values> {
  await using started = await vmm.start(files, "hold");
  // Awaited here: the guest ends with this function.
  return await bootValues(started.vmm);
}

async function bootValues(vmm: VmmProcess): Promise<Values> {
  const { text, at } = await vmm.line(/^INIT /, PATIENCE_SECONDS);
  const counters = vmm.counters() ?? {};
  const processor = processorTime(vmm.pid);
  const memory = residentMemory(vmm.pid, MEGABYTES << 20);
  const first = vmm.firstEntry === undefined ? {} : { "to first entry, ms": vmm.firstEntry, "entry to init, ms": at - vmm.firstEntry };
  return {
    "to init, ms": at, ...first, "guest's clock at init, ms": Number(text.split(" ")[1]) * 1000,
    "processor time, ms": processor.total * 1000, "of it the guest's, ms": processor.guest * 1000,
    "memory of the VMM, KiB": memory.total - memory.guest, "memory of the guest, KiB": memory.guest,
    ...Object.fromEntries(Object.entries(counters).map(([name, value]) => [name.replaceAll("_", " "), value])),
  };
}

/** Throughput and latency of disk and file system, by the guest's clock. */
export async function devices(vmm: Vmm, files: Files, more: string): Promise<Values> {
  await using started = await vmm.start(files, "devices", more);
  await started.vmm.line(/^DONE/, PATIENCE_SECONDS);
  return Object.fromEntries(started.vmm.lines.flatMap(({ text }) => {
    const [word, name, value, unit] = text.split(" ");
    return word === "RESULT" ? [[`${name}, ${unit}`, Number(value)]] : [];
  }));
}

/** Saves a guest that says a line every ms. */
export async function save(vmm: Vmm, files: Files, snapshot: string): Promise<void> {
  const control = join(files.work, "control");
  rmSync(snapshot, { force: true });
  await using started = await vmm.start(files, "ticks");
  await started.vmm.line(/^TICK 20$/, PATIENCE_SECONDS);
  for (const command of [{ do: "pause" }, { do: "snapshot", path: snapshot }]) await tell(control, command);
}

async function tell(control: string, command: object): Promise<void> {
  const socket = connect(control);
  socket.write(`${JSON.stringify(command)}\n`);
  const [answer] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  const { ok } = JSON.parse(answer.toString()) as { ok?: boolean };
  if (ok !== true) throw new Error(`${JSON.stringify(command)}: ${answer.toString()}`);
}

/** From the execution of the VMM to the guest's next line. */
export async function restore(files: Files, snapshot: string): Promise<Values> {
  await using started = startOurs(files, { source: { kind: "snapshot", file: { path: snapshot } } });
  const { at } = await started.vmm.line(/^TICK /, PATIENCE_SECONDS);
  const first = started.vmm.firstEntry === undefined ? {} : { "restore to first entry, ms": started.vmm.firstEntry };
  return { "restore to next line, ms": at, ...first };
}
