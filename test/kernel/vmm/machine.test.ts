// The whole machine with kernels of a few instructions: boot, ports, virtio registers, doorbells, interrupts, pause, and how it ends.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { decodeRegs } from "../../../linux/kvm-structs.ts";
import { Machine, type End } from "../../../vmm/machine.ts";
import { Rng } from "../../../vmm/devices/rng.ts";
import type { VirtioDevice } from "../../../vmm/virtio/device.ts";
import { asm, pvhKernel } from "./tiny-kernel.ts";

const folder = mkdtempSync(join(tmpdir(), "tssandbox-vmm-machine-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Where a kernel leaves what a test looks at. */
const RESULT = 0x5_0000;
const WINDOW = 0xd000_0000;

interface Run {
  readonly end: End;
  readonly machine: Machine;
  readonly console: string;
  readonly complaints: readonly string[];
}

interface Options {
  readonly devices?: readonly VirtioDevice[];
  /** Runs once `when` holds; at once without that. */
  readonly during?: (machine: Machine) => void;
  readonly when?: (machine: Machine) => boolean;
  readonly commandLine?: string;
}

let count = 0;

function run(code: readonly number[], { devices = [], during, when = () => true, commandLine = "" }: Options = {}): Run {
  const output = join(folder, `console${count++}`);
  const consoleFd = openSync(output, "w");
  const complaints: string[] = [];
  const machine = new Machine({
    vcpus: 1, memoryBytes: 16 << 20, consoleFd, onGuestError: (message) => complaints.push(message),
  });
  for (const device of devices) machine.addDevice(device);
  machine.load({ kernel: pvhKernel([...code, ...asm.powerOff(), ...asm.halt()]), commandLine });
  machine.start();
  if (during !== undefined) once(machine, when, during);
  machine.loop.after(10_000, () => machine.stop());
  const end = machine.run();
  machine.endThreads();
  closeSync(consoleFd);
  return { end, machine, console: readFileSync(output, "utf8"), complaints };
}

function once(machine: Machine, when: (machine: Machine) => boolean, action: (machine: Machine) => void): void {
  machine.loop.after(10, () => (when(machine) ? action(machine) : once(machine, when, action)));
}

const word = (machine: Machine, address: number) => machine.memory.view(address, 4)?.getUint32(0, true);

test("a kernel starts, prints, and powers off", () => {
  const { end, console } = run(asm.print("hello\n"));
  expect([end, console]).toEqual([{ kind: "power-off" }, "hello\n"]);
});

test("it finds its command line by way of the start info", () => {
  // mov eax, [ebx+24] (command line); mov eax, [eax]; mov [RESULT], eax
  const { machine } = run([0x8b, 0x43, 24, 0x8b, 0x00, 0xa3, 0, 0, 5, 0], { commandLine: "quiet" });
  expect(Buffer.from(machine.memory.slice(RESULT, 4) ?? []).toString()).toBe("quie");
});

test("the keyboard controller resets", () => {
  expect(run(asm.reset()).end).toEqual({ kind: "reset" });
});

test("a triple fault resets, and is told", () => {
  const { end, complaints } = run([0x0f, 0x0b]); // ud2 without an interrupt table
  expect([end, complaints]).toEqual([{ kind: "reset" }, ["a triple fault at 0x100000"]]);
});

test("a port and an address where there is nothing read as all ones", () => {
  const { machine } = run([...asm.in(0x1234), 0xa2, 0, 0, 5, 0, ...asm.copy(0xd0ff_0000, RESULT + 4)]); // mov [RESULT], al
  expect([word(machine, RESULT), word(machine, RESULT + 4)]).toEqual([0xff, 0xffff_ffff]);
});

test("the clock tells the host's year", () => {
  // out 0x70, 9; in al, 0x71; mov [RESULT], al
  const { machine } = run([...asm.out(0x70, 0x09), ...asm.in(0x71), 0xa2, 0, 0, 5, 0]);
  expect(word(machine, RESULT)?.toString(16)).toBe(String(new Date().getUTCFullYear() % 100));
});

test("a virtio window shows its device", () => {
  const registers = [0x000, 0x004, 0x008, 0x034];
  const { machine } = run(registers.flatMap((register, i) => asm.copy(WINDOW + register, RESULT + 4 * i)), { devices: [new Rng()] });
  expect(registers.map((_, i) => word(machine, RESULT + 4 * i))).toEqual([0x7472_6976, 2, 4, 64]);
});

test("a driver of forty stores gets random bytes, by doorbell and interrupt status", () => {
  const [DESC, AVAIL, USED, DATA] = [0x6_0000, 0x6_1000, 0x6_2000, 0x7_0000];
  const register = (offset: number, value: number) => asm.store(WINDOW + offset, value);
  const waitForInterrupt = [0x83, 0x3d, 0x60, 0, 0, 0xd0, 0x00, 0x74, 0xf7]; // cmp dword [InterruptStatus], 0; je back
  const { machine, end } = run([
    ...register(0x70, 1), ...register(0x70, 3), ...register(0x24, 1), ...register(0x20, 1), ...register(0x70, 11),
    ...register(0x30, 0), ...register(0x38, 4), ...register(0x80, DESC), ...register(0x90, AVAIL), ...register(0xa0, USED), ...register(0x44, 1),
    ...register(0x70, 15),
    ...asm.store(DESC, DATA), ...asm.store(DESC + 8, 32), ...asm.store(DESC + 12, 2),
    ...asm.store(AVAIL, 0x1_0000), ...register(0x50, 0),
    ...waitForInterrupt,
    ...asm.copy(WINDOW + 0x60, RESULT), ...register(0x64, 1), ...asm.copy(WINDOW + 0x60, RESULT + 4),
  ], { devices: [new Rng()] });
  expect(end).toEqual({ kind: "power-off" });
  expect(word(machine, USED + 8)).toBe(32);
  expect(new Set(machine.memory.slice(DATA, 32)).size).toBeGreaterThan(8);
  expect([word(machine, RESULT), word(machine, RESULT + 4)]).toEqual([1, 0]);
});

/** inc dword [RESULT]; jmp back */
const INCREMENT = [0xff, 0x05, 0, 0, 5, 0, 0xeb, 0xf8];

const hasCounted = (machine: Machine) => word(machine, RESULT) !== 0;

test("a guest that never exits is paused, resumed and stopped", () => {
  const seen: number[] = [];
  const look = (machine: Machine) => seen.push(word(machine, RESULT) ?? 0);
  const { end } = run(INCREMENT, {
    when: hasCounted,
    during: (machine) => {
      machine.pause();
      look(machine);
      machine.loop.turn(20);
      look(machine);
      machine.resume();
      once(machine, () => word(machine, RESULT) !== seen[0], () => {
        look(machine);
        machine.stop();
      });
    },
  });
  const [paused = 0, still, later = 0] = seen;
  expect(end).toEqual({ kind: "stopped" });
  expect(paused).toBeGreaterThan(0);
  expect(still).toBe(paused);
  expect(later).toBeGreaterThan(paused);
});

test("who is paused in an access has finished it", () => {
  let reads = 0;
  const device = {
    id: 4, name: "counts", queueSizes: [], features: 0, start: () => undefined, reset: () => undefined, notified: () => undefined,
    get config() {
      reads++;
      return new Uint8Array(4);
    },
  };
  // again: mov eax, [configuration]; inc dword [RESULT]; jmp again
  const read = [0xa1, 0, 1, 0, 0xd0];
  const code = [...read, 0xff, 0x05, 0, 0, 5, 0, 0xeb, 0x100 - (read.length + 8)];
  const seen: { readonly done: boolean; readonly pending: number }[] = [];
  const look = (machine: Machine) => {
    machine.pause();
    const { rip } = decodeRegs(new DataView(machine.saveState().vcpus[0]?.state.regs.buffer ?? new ArrayBuffer(0)));
    seen.push({ done: Number(rip) > 0x10_0000, pending: reads - (word(machine, RESULT) ?? 0) });
    machine.resume();
    if (seen.length < 20) machine.loop.after(1, () => look(machine));
    else machine.stop();
  };
  run(code, { devices: [device], when: hasCounted, during: look });
  // Between the two instructions it is read and not counted yet.
  for (const { done, pending } of seen) expect(pending).toBe(done && pending !== 0 ? 1 : 0);
});

test("a guest that waits in HLT is stopped", () => {
  expect(run(asm.halt(), { during: (machine) => machine.stop() }).end).toEqual({ kind: "stopped" });
});

test("what KVM cannot emulate ends the machine, with the reason", () => {
  const { end } = run([0xb8, 0, 0, 0xff, 0xd0, 0xff, 0xe0]); // mov eax, 0xd0ff0000; jmp eax
  expect(end).toMatchObject({ kind: "failed", reason: expect.stringContaining("internal-error") as string });
});

test("a state is saved and gone on from in another machine", () => {
  let saved: ReturnType<Machine["saveState"]> | undefined;
  const first = run(INCREMENT, { devices: [new Rng()], when: hasCounted, during: (it) => { it.pause(); saved = it.saveState(); it.stop(); } });
  const before = word(first.machine, RESULT) ?? 0;
  const copy = new Machine({ vcpus: 1, memoryBytes: 16 << 20, consoleFd: 2 });
  copy.addDevice(new Rng());
  for (const [i, region] of first.machine.memory.regions.entries()) copy.memory.regions[i]?.block.bytes.set(region.block.bytes);
  if (saved === undefined) throw new Error("nothing was saved");
  copy.restoreState(saved);
  copy.start();
  once(copy, () => word(copy, RESULT) !== before, () => copy.stop());
  copy.loop.after(10_000, () => copy.stop());
  expect(copy.run()).toEqual({ kind: "stopped" });
  copy.endThreads();
  expect(word(copy, RESULT)).toBeGreaterThan(before);
  const other = new Machine({ vcpus: 2, memoryBytes: 16 << 20, consoleFd: 2 });
  const state = saved;
  expect(() => other.restoreState(state)).toThrow("the snapshot has 1 vCPUs, the machine 2");
});
