// Runs inside the machine: our VMM and QEMU's microvm in turns, with the same kernel and initramfs. Prints JSON. Not part of the lane: QEMU is not in
// the machine's image: its program, libraries and firmware (bios-microvm.bin, linuxboot_dma.bin, pvh.bin) were put below dist/qemu.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { guestInitramfs } from "../../../vmm/image/initramfs.ts";

const INITRAMFS = "/run/microvm-initramfs";
const SERIAL = "/run/microvm-serial";
const MEGABYTES = 256;
const COMMAND_LINE = "console=ttyS0 panic=-1 quiet loglevel=1 pci=off";
const ROUNDS = Number(process.argv[2] ?? 5);

/** Waits until it is killed, so that memory can be looked at. */
const SCRIPT = `echo "INIT $($b cut -d' ' -f1 /proc/uptime)" >/dev/ttyS0
$b sleep 1000
`;

const commands: Record<string, () => readonly string[]> = {
  ours: () => {
    writeFileSync("/run/microvm.json", JSON.stringify({
      vcpus: 1, memoryMegabytes: MEGABYTES, serial: { path: SERIAL },
      source: { kind: "boot", kernel: { path: "/boot/vmlinuz" }, initramfs: { path: INITRAMFS }, commandLine: COMMAND_LINE },
    }));
    return [process.execPath, "dist/vmm/tssandbox.cjs", "/run/microvm.json"];
  },
  qemu: () => [
    "dist/qemu/qemu", "-L", "dist/qemu/share", "-M", "microvm,accel=kvm,rtc=on,x-option-roms=off", "-cpu", "host", "-smp", "1", "-m", `${MEGABYTES}M`,
    "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", `file:${SERIAL}`,
    "-kernel", "/boot/vmlinuz", "-initrd", INITRAMFS, "-append", COMMAND_LINE,
  ],
};

/** Kilobytes that are the process's own: its private memory, and shared files but not the guest's. */
function residentMemory(pid: number): { readonly total: number; readonly guest: number } {
  let [total, guest, isGuest] = [0, 0, false];
  for (const line of readFileSync(`/proc/${pid}/smaps`, "utf8").split("\n")) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
    // Guest memory is the one mapping of its size.
    if (range !== null) isGuest = Number.parseInt(range[2] ?? "", 16) - Number.parseInt(range[1] ?? "", 16) === MEGABYTES << 20;
    const pss = Number(/^Pss:\s+(\d+)/.exec(line)?.[1] ?? 0);
    total += pss;
    if (isGuest) guest += pss;
  }
  return { total, guest };
}

async function measure(command: readonly string[]) {
  rmSync(SERIAL, { force: true });
  writeFileSync(SERIAL, "");
  const [program = "", ...args] = command;
  const start = performance.now();
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  const ended = once(child, "exit");
  while (!/INIT [\d.]+/.test(readFileSync(SERIAL, "utf8")) && child.exitCode === null && performance.now() - start < 60_000) await sleep(5);
  const milliseconds = Math.round(performance.now() - start);
  const uptime = Number(/INIT ([\d.]+)/.exec(readFileSync(SERIAL, "utf8"))?.[1]);
  const { total, guest } = child.pid === undefined || child.exitCode !== null ? { total: 0, guest: 0 } : residentMemory(child.pid);
  child.kill("SIGKILL");
  await ended;
  return { milliseconds, uptime, vmmKilobytes: total - guest, guestKilobytes: guest };
}

async function main(): Promise<void> {
  execFileSync("modprobe", ["kvm_amd"]);
  writeFileSync(INITRAMFS, guestInitramfs({ busybox: readFileSync("/bin/busybox"), modules: [], script: SCRIPT }));
  const results: Record<string, unknown[]> = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, command] of Object.entries(commands)) {
      if (name === "qemu" && !existsSync("dist/qemu/qemu")) continue;
      (results[name] ??= []).push(await measure(command()));
    }
  }
  process.stdout.write(`${JSON.stringify(results, null, 1)}\n`);
}

void main();
