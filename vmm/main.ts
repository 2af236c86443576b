/**
 * The VMM's process, executed anew for every machine: `node vmm/main.ts CONFIG.json`. It ends with 0 when the guest powers off, 3 when it
 * resets, 4 when it is stopped from outside, and 1 with a line on standard error when something fails.
 */
import { fstatSync, openSync, readFileSync } from "node:fs";
import process from "node:process";
import { messageOf } from "../linux/errors.ts";
import { Fd } from "../linux/fd.ts";
import { setNonBlocking } from "../linux/fcntl.ts";
import { writeAll } from "../linux/file.ts";
import { discardPages, mapForever } from "../linux/kvm-memory.unsafe.ts";
import type { Block } from "../linux/memory.unsafe.ts";
import { exitNow } from "../linux/process.ts";
import { parseConfig, type VmConfig } from "./config.ts";
import { serveControl, type ControlCommand } from "./control.ts";
import { addDevice, openFile, withFile } from "./create-device.ts";
import { sealVmm } from "./jail/seal.ts";
import { Machine, type End, type MachineState } from "./machine.ts";
import { Balloon } from "./devices/balloon.ts";
import { Mem } from "./devices/mem.ts";
import { RemoteFs } from "./devices/remote-fs.ts";
import { createGuestMemory, restoreGuestMemory } from "./memory.ts";
import { readSnapshot, writeSnapshot } from "./snapshot/file.ts";

const STATUS: Record<End["kind"], number> = { "power-off": 0, reset: 3, stopped: 4, failed: 1 };
const MIB = 1 << 20;

/** How many complaints about a guest are printed: it could fill a disk with them. */
const MAX_COMPLAINTS = 20;

/** Not by Node's stream, which is made when it is first used: too late in a sealed process. */
const complain = (line: string): void => writeAll(2, `${line}\n`);

function createMachine(config: VmConfig): Machine {
  let complaints = 0;
  const options = {
    ...(config.kvm === undefined ? {} : { kvm: new Fd(config.kvm.fd) }), vcpus: config.vcpus, memoryBytes: config.memoryMegabytes * MIB, consoleFd: openFile(config.serial ?? { path: "/dev/null" }, "a"),
    onGuestError: (message: string) => {
      if (complaints++ < MAX_COMPLAINTS) complain(`guest: ${message}`);
    },
  };
  return config.source.kind === "boot" ? bootMachine(config, options) : restoreMachine(config, options);
}

const growthOf = ({ growthMegabytes = 0 }: VmConfig): number => growthMegabytes * MIB;

type Options = ConstructorParameters<typeof Machine>[0];

function bootMachine(config: VmConfig, options: Options): Machine {
  const { source } = config;
  if (source.kind !== "boot") throw new Error("not a machine to boot");
  const machine = new Machine(options, createGuestMemory(options.memoryBytes, { hugePages: config.hugePages === true, growth: growthOf(config) }));
  prepare(machine, config);
  const [kernel, initramfs] = [source.kernel, source.initramfs].map((file) => (file === undefined ? undefined : withFile(file, mapFile)));
  machine.load({ kernel: kernel?.bytes ?? new Uint8Array(0), initramfs: initramfs?.bytes, commandLine: source.commandLine });
  for (const block of [kernel, initramfs]) if (block !== undefined) discardPages(block, 0, block.size);
  return machine;
}

/** Mapped, not read: it is copied once, into the guest's memory. @returns undefined for an empty file, which cannot be mapped */
function mapFile(fd: number): Block | undefined {
  const { size } = fstatSync(fd);
  return size === 0 ? undefined : mapForever(fd, size, "read-only");
}

/** Memory is the snapshot's file, copied page by page as the guest writes. */
function restoreMachine(config: VmConfig, options: Options): Machine {
  const { source } = config;
  if (source.kind !== "snapshot") throw new Error("not a machine to restore");
  const file = new Fd(openFile(source.file, "r"));
  const { state, memoryOffset, memorySize } = readSnapshot(file);
  const growth = growthOf(config);
  if (memorySize !== options.memoryBytes + growth) throw new Error(`the snapshot has ${memorySize / MIB} MiB of memory, the machine ${(options.memoryBytes + growth) / MIB}`);
  const machine = new Machine(options, restoreGuestMemory(file, options.memoryBytes, memoryOffset, growth));
  prepare(machine, config);
  machine.restoreState(state as MachineState);
  return machine;
}

/** A sealed process opens nothing. */
function saveMachine(machine: Machine, path: string | undefined, [given]: readonly Fd[]): void {
  using opened = path === undefined ? undefined : new Fd(openSync(path, "wx", 0o600));
  const file = opened ?? given;
  if (file === undefined) throw new Error("snapshot comes with a path or a descriptor");
  writeSnapshot(file, machine.saveState(), machine.memory);
}

function prepare(machine: Machine, { devices, control }: VmConfig): void {
  const told = devices.map((device) => addDevice(machine, device));
  const balloon = told.find((device) => device instanceof Balloon);
  const mem = addGrowth(machine);
  const shares = told.filter((device) => device instanceof RemoteFs);
  let paused = false;
  const act = (command: ControlCommand, fds: readonly Fd[]): object | undefined => {
    switch (command.do) {
      case "pause":
        machine.pause();
        paused = true;
        return undefined;
      case "resume":
        machine.resume();
        paused = false;
        return undefined;
      case "snapshot":
        if (!paused) throw new Error("the machine is running: pause it first");
        saveMachine(machine, command.path, fds);
        return undefined;
      case "balloon":
        if (balloon === undefined) throw new Error("the machine has no balloon");
        balloon.setTarget(command.megabytes * MIB);
        return undefined;
      case "memory": return resize(mem, command.megabytes);
      case "attach": return { tag: attach(shares, fds) };
      case "power-button":
        machine.pressPowerButton();
        return undefined;
      case "stop":
        machine.stop();
        return undefined;
      default: return command satisfies never;
    }
  };
  if (control !== undefined) serveControl(machine.loop, control, act);
}

/** Behind all other devices. */
function addGrowth(machine: Machine): Mem | undefined {
  const { memory } = machine;
  if (memory.growth === undefined) return undefined;
  const mem = new Mem(memory.growth, (address, size) => memory.discard(address, size));
  machine.addDevice(mem);
  return mem;
}

function resize(mem: Mem | undefined, megabytes: number | undefined): object {
  if (mem === undefined) throw new Error("the machine's memory is of one size");
  if (megabytes !== undefined) mem.request(megabytes * MIB);
  return { requested: mem.requested / MIB, plugged: mem.plugged / MIB };
}

/** Gives a gofer's connection to a device that has none. @returns its tag. */
function attach(shares: readonly RemoteFs[], [socket, ...others]: readonly Fd[]): string {
  if (socket === undefined || others.length > 0) throw new Error("attach comes with one descriptor");
  const free = shares.find((share) => share.free);
  if (free === undefined) throw new Error(`all of the machine's ${shares.length} places for file systems are taken`);
  setNonBlocking(socket);
  free.attach(socket.release());
  return free.tag;
}

function main(path: string | undefined): number {
  if (path === undefined) throw new Error("usage: main.ts CONFIG.json, or the number of a descriptor to read it from");
  const config = parseConfig(withFile(/^\d+$/.test(path) ? { fd: Number(path) } : { path }, (fd) => readFileSync(fd, "utf8")));
  const machine = createMachine(config);
  if (config.sealed === true) {
    machine.awaitThreads();
    sealVmm();
  }
  machine.start();
  const end = machine.run();
  if (end.kind === "failed") complain(`the virtual machine failed: ${end.reason}`);
  machine.endThreads();
  return STATUS[end.kind];
}

try {
  // Node's own end looks at its streams, and waits for threads that nobody needs.
  exitNow(main(process.argv[2]));
} catch (error) {
  complain(`tssandbox vmm: ${messageOf(error)}`);
  exitNow(1);
}
