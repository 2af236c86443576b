// Runs inside the machine: boots guests with our VMM and prints what became of them, as JSON. ../vmm.test.ts judges.
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { checkVm } from "../../../vmm/check.ts";
import { guestInitramfs } from "../../../vmm/image/initramfs.ts";
import { readModules } from "../../../vmm/image/modules.ts";
import { Guest, SHELL_SCRIPT } from "./guest-shell.ts";

const facts: Record<string, unknown> = {};
const INITRAMFS = "/run/vmm-initramfs";
const DISK = "/run/vmm-disk";
const PMEM = "/run/vmm-pmem";
const SHARE = "/run/vmm-share";
const BIG = 100 << 20;

const sha256 = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");
const shell = (script: string) => execFileSync("sh", ["-c", script], { encoding: "utf8" });

function prepare(): void {
  const release = shell("uname -r").trim();
  writeFileSync(INITRAMFS, guestInitramfs({ busybox: readFileSync("/bin/busybox"), modules: readModules(`/lib/modules/${release}`), script: SHELL_SCRIPT }));
  const disk = randomBytes(4 << 20);
  writeFileSync(DISK, disk);
  facts["disk.sha256"] = sha256(disk);
  writeFileSync(PMEM, "persistent\n");
  truncateSync(PMEM, 4 << 20);
  rmSync(SHARE, { recursive: true, force: true });
  mkdirSync(SHARE);
  const big = randomBytes(BIG);
  writeFileSync(`${SHARE}/big`, big);
  facts["share.sha256"] = sha256(big);
}

/** Starts our side of the tap as soon as the VMM has made it. */
async function configureTap(): Promise<void> {
  await until(300, () => existsSync("/sys/class/net/vmmtap0"));
  shell("ip addr add 10.99.0.1/24 dev vmmtap0 && ip link set vmmtap0 up");
}

/** Waits until the condition holds, but no longer than that: the judge sees what became of it. The limit is for a host that is very busy. */
async function until(seconds: number, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + seconds * 1000; performance.now() < end && !(await holds()); ) await sleep(200);
}

async function everyDevice(): Promise<void> {
  const vsock = "/run/vmm-vsock";
  rmSync(vsock, { force: true });
  const guest = new Guest(INITRAMFS, {
    vcpus: 2, growthMegabytes: 256,
    devices: [
      { kind: "block", file: { path: DISK }, readOnly: false, serial: "tssandbox-disk" }, { kind: "rng" }, { kind: "balloon" },
      { kind: "net", tap: "vmmtap0", mac: "02:00:00:00:00:02" }, { kind: "vsock", cid: 3, socket: { path: vsock } },
      { kind: "pmem", file: { path: PMEM }, readOnly: true }, { kind: "fs", tag: "share", root: SHARE, readOnly: false },
    ],
  });
  await Promise.all([guest.ready(), configureTap()]);
  const note = async (name: string, command: string, seconds?: number) => {
    facts[name] = (await guest.run(command, seconds)).output.trim();
  };
  await guest.run("echo 8 >/proc/sys/kernel/printk");
  await note("uname", "uname -r");
  await note("processors", "nproc");
  facts["clock.before"] = Math.floor(Date.now() / 1000);
  await note("clock", "date +%s");
  facts["clock.after"] = Math.ceil(Date.now() / 1000);
  await note("exit status", "false; echo $?");
  await note("block.read", "sha256sum /dev/vda | cut -d' ' -f1");
  await note("block.serial", "cat /sys/block/vda/serial");
  await note("block.write", "echo written-by-the-guest | dd of=/dev/vda bs=512 seek=7 conv=fsync,notrunc 2>/dev/null; echo done");
  facts["block.written"] = readFileSync(DISK).toString("latin1", 7 * 512, 7 * 512 + 20);
  await note("rng", "cat /sys/class/misc/hw_random/rng_current; dd if=/dev/hwrng bs=64 count=1 2>/dev/null | sha256sum");
  await note("pmem", "head -c 10 /dev/pmem0");
  await note("fs.mount", "mkdir -p /share && mount -t virtiofs share /share && ls /share");
  await note("fs.read", "sha256sum /share/big | cut -d' ' -f1", 300);
  await note("fs.write", "dd if=/dev/urandom of=/share/fromguest bs=1M count=5 2>/dev/null; sync; sha256sum /share/fromguest | cut -d' ' -f1");
  facts["fs.written"] = sha256(readFileSync(`${SHARE}/fromguest`));
  await note("net.up", "ip addr add 10.99.0.2/24 dev eth0 && ip link set eth0 up && ping -c 2 -W 60 10.99.0.1 | tail -2 | head -1");
  const server = createServer((socket) => socket.end("HTTP/1.0 200 OK\r\n\r\nhello from the host\n")).listen(8099, "10.99.0.1");
  await once(server, "listening");
  await note("net.http", "wget -qO- http://10.99.0.1:8099/");
  server.close();
  facts["vsock.refused"] = await greet(vsock, 1234);
  facts["pause"] = await guest.control({ do: "pause" });
  facts["pause.twice"] = await guest.control({ do: "pause" });
  facts["resume"] = await guest.control({ do: "resume" });
  await note("after resume", "echo still here");
  facts["bad command"] = await guest.control({ do: "fly" });
  facts["snapshot while running"] = await guest.control({ do: "snapshot", path: "/run/x" });
  await note("balloon.before", "awk '/MemAvailable/ {print $2}' /proc/meminfo");
  await guest.control({ do: "balloon", megabytes: 96 });
  const given = async (name: string) => {
    await note(name, "awk '/MemAvailable/ {print $2}' /proc/meminfo");
    return Number(facts["balloon.before"]) - Number(facts[name]);
  };
  await until(180, async () => (await given("balloon.after")) > 32 * 1024);
  // And back, or the balloon's pages come to lie in the memory that is given next, which then is moved page by page before that can be taken.
  await guest.control({ do: "balloon", megabytes: 0 });
  await until(180, async () => (await given("balloon.back")) < 16 * 1024);
  await note("mem.before", "awk '/MemTotal/ {print $2}' /proc/meminfo");
  await note("mem.disk", "sha256sum /dev/vda | cut -d' ' -f1");
  facts["mem.asked"] = await guest.control({ do: "memory", megabytes: 160 });
  facts["mem.given"] = await settled(guest, (plugged) => plugged === 160);
  // The machine knows of a block before the guest's kernel has made memory of it.
  await until(180, async () => {
    await note("mem.after", "awk '/MemTotal/ {print $2}' /proc/meminfo");
    return Number(facts["mem.after"]) - Number(facts["mem.before"]) >= 160 * 1024;
  });
  // The kernel puts pages of files there first, so that the disk is read into it.
  await note("mem.used", "echo 3 >/proc/sys/vm/drop_caches; sha256sum /dev/vda | cut -d' ' -f1");
  await guest.control({ do: "memory", megabytes: 0 });
  facts["mem.back"] = await settled(guest, (plugged) => plugged <= 16);
  await note("interrupts", "grep -c virtio /proc/interrupts");
  // poweroff ends the shell, so nobody answers.
  await guest.run("poweroff -f", 20).catch(() => undefined);
  facts["power-off status"] = await guest.ended;
  facts["serial"] = guest.serial.slice(-2000);
  facts["everyDevice.stderr"] = guest.stderr;
  await guest.stop();
}

/** What the guest has of its growing memory, in MiB, once that is `enough`, or after a while. */
async function settled(guest: Guest, enough: (plugged: number) => boolean): Promise<unknown> {
  let answer: { readonly plugged: number } | undefined;
  // Linux' driver tries again 50 s after a block could not be given back, then after 100 s (VIRTIO_MEM_RETRY_TIMER_MIN_MS).
  await until(240, async () => enough((answer = (await guest.control({ do: "memory" })) as { plugged: number }).plugged));
  return answer;
}

/** A host's client to a port where nobody listens in the guest: it must be told, not hang. */
async function greet(path: string, port: number): Promise<string> {
  const socket = connect(path);
  socket.write(`CONNECT ${port}\n`);
  let answer = "";
  socket.on("data", (data) => (answer += data.toString()));
  await Promise.race([once(socket, "close"), sleep(120_000, undefined, { ref: false })]);
  const closed = socket.closed || socket.destroyed || socket.readableEnded;
  socket.destroy();
  return closed ? `closed ${answer}` : "hangs";
}

async function snapshot(): Promise<void> {
  const guest = new Guest(INITRAMFS, { devices: [{ kind: "rng" }] });
  const start = performance.now();
  await guest.ready();
  facts["cold boot ms"] = Math.round(performance.now() - start);
  await guest.run("counter=41; mkdir -p /tmp; echo kept >/tmp/file");
  facts["snapshot.pause"] = await guest.control({ do: "pause" });
  rmSync("/run/vmm-snapshot", { force: true });
  facts["snapshot"] = await guest.control({ do: "snapshot", path: "/run/vmm-snapshot" });
  facts["stopped status"] = await guest.stop();
  for (const clone of [1, 2]) {
    const begin = performance.now();
    const restored = new Guest(INITRAMFS, { devices: [{ kind: "rng" }], source: { kind: "snapshot", file: { path: "/run/vmm-snapshot" } } });
    const first = await restored.run("echo $((counter + 1)) $(cat /tmp/file)");
    facts[`clone ${clone} ms`] = Math.round(performance.now() - begin);
    facts[`clone ${clone}`] = first.output.trim();
    // What the guest's driver had fetched before the snapshot is in both clones; what comes after that is not.
    facts[`clone ${clone} hwrng`] = (await restored.run("dd if=/dev/hwrng bs=64 count=64 2>/dev/null | tail -c 2048 | sha256sum")).output.trim();
    facts[`clone ${clone} ticks`] = (await restored.run("sleep 1; echo slept")).output.trim();
    await restored.stop();
  }
  const damaged = readFileSync("/run/vmm-snapshot").subarray(0, 65536);
  damaged[4100] = (damaged[4100] ?? 0) ^ 1;
  writeFileSync("/run/vmm-damaged", damaged);
  const broken = new Guest(INITRAMFS, { devices: [{ kind: "rng" }], source: { kind: "snapshot", file: { path: "/run/vmm-damaged" } } });
  facts["damaged status"] = await broken.ended;
  facts["damaged"] = broken.stderr;
  await broken.stop();
}

const parts: Record<string, () => Promise<void>> = { everyDevice, snapshot };

/** Each part by itself: one that fails leaves its facts out, which the judge sees. @param wanted names; all where there are none. */
async function main(wanted: readonly string[]): Promise<void> {
  execFileSync("modprobe", ["kvm_amd"]);
  facts["check"] = checkVm().kind;
  prepare();
  for (const [name, part] of Object.entries(parts)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const start = performance.now();
    await part().catch((error: unknown) => (facts[`${name} failed`] = String(error)));
    facts[`${name} seconds`] = Math.round((performance.now() - start) / 1000);
  }
  process.stdout.write(`${JSON.stringify(facts, null, 1)}\n`);
}

void main(process.argv.slice(2));
