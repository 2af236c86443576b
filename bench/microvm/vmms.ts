/**
 * The two VMMs, with the same kernel, initramfs, command line, memory and devices, none of them jailed.
 *
 *   ours   Node with the flags of `--mode vm`; virtio-fs by a gofer in a process of its own
 *   qemu   microvm, on KVM; virtio-fs by Debian's virtiofsd (C), which needs guest memory in a memfd
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { socketPair } from "../../linux/socket.ts";
import type { DeviceConfig, VmConfig } from "../../vmm/config.ts";
import { VMM_NODE_FLAGS } from "../../vmm/node-flags.ts";
import { VmmProcess, type Command } from "./process.ts";

export const MEGABYTES = 256;
const QUIET = "console=ttyS0 panic=-1 quiet loglevel=1 pci=off";
const SOCK_STREAM = 1;

export interface Files {
  readonly kernel: string;
  /** The same kernel, as `tssandbox vm build` leaves it. */
  readonly unpacked: string;
  readonly initramfs: string;
  readonly disk: string;
  /** The directory that is lent. */
  readonly share: string;
  /** Where sockets and configurations are put. */
  readonly work: string;
  /** The bundle of vmm/main.ts. */
  readonly vmm: string;
}

export type Task = "hold" | "ticks" | "devices";

/** A guest with what else serves it. */
export interface Started extends AsyncDisposable {
  readonly vmm: VmmProcess;
}

export interface Vmm {
  readonly name: string;
  readonly start: (files: Files, task: Task, more?: string) => Promise<Started>;
}

const GOFER_FLAGS = ["--single-threaded", "--v8-pool-size=0"];

const commandLine = (task: Task, more: string) => `${QUIET} bench=${task} ${more}`;

function startedWith(command: Command, helpers: readonly ChildProcess[], clean: () => void = () => undefined): Started {
  const vmm = new VmmProcess(command);
  return {
    vmm,
    async [Symbol.asyncDispose]() {
      await vmm[Symbol.asyncDispose]();
      for (const helper of helpers) if (helper.exitCode === null) helper.kill("SIGKILL");
      clean();
    },
  };
}

/** @param fds the descriptors that the configuration names, from 3 on. */
export function startOurs({ work, vmm }: Files, config: Omit<VmConfig, "vcpus" | "memoryMegabytes" | "serial" | "devices"> & { devices?: readonly DeviceConfig[] }, fds: readonly number[] = [], helpers: readonly ChildProcess[] = []): Started {
  const document = join(work, "vm.json");
  const full: VmConfig = { vcpus: 1, memoryMegabytes: MEGABYTES, serial: { fd: 1 }, ...config, devices: [...(config.devices ?? [])] };
  writeFileSync(document, JSON.stringify(full));
  return startedWith({ program: process.execPath, args: [...VMM_NODE_FLAGS, vmm, document], fds }, helpers);
}

export const ours: Vmm = {
  name: "tssandbox",
  start: (files, task, more = "") => {
    const source = { kind: "boot" as const, kernel: { path: files.kernel }, initramfs: { path: files.initramfs }, commandLine: commandLine(task, more) };
    if (task !== "devices") {
      const control = join(files.work, "control");
      rmSync(control, { force: true });
      return Promise.resolve(startOurs(files, { source, control: { path: control } }));
    }
    const [theirs, gofers] = socketPair(SOCK_STREAM);
    const gofer = spawn(process.execPath, [...GOFER_FLAGS, process.argv[1] ?? "", "gofer", files.share], { stdio: ["ignore", "ignore", "inherit", gofers.number] });
    const devices: DeviceConfig[] = [{ kind: "block", file: { path: files.disk }, readOnly: false }, { kind: "remote-fs", tag: "share", fd: 3 }];
    const started = startOurs(files, { source, devices }, [theirs.number], [gofer]);
    for (const end of [theirs, gofers]) end.close();
    return Promise.resolve(started);
  },
};

const DAEMONS = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];

export const qemu: Vmm = {
  name: "qemu",
  start: async (files, task, more = "") => {
    const plain = [
      "-M", "microvm,accel=kvm,rtc=on,x-option-roms=off", "-cpu", "host", "-smp", "1", "-m", `${MEGABYTES}M`, "-nodefaults", "-no-user-config",
      "-display", "none", "-no-reboot", "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console", "-kernel", files.kernel, "-initrd", files.initramfs, "-append", commandLine(task, more),
    ];
    if (task !== "devices") return startedWith({ program: "qemu-system-x86_64", args: plain }, []);
    const socket = join(files.work, "virtiofsd");
    const daemon = await startDaemon(socket, files.share);
    const devices = [
      "-global", "virtio-mmio.force-legacy=false", "-drive", `id=disk,if=none,format=raw,file=${files.disk}`, "-device", "virtio-blk-device,drive=disk",
      "-object", `memory-backend-memfd,id=memory,size=${MEGABYTES}M,share=on`, "-machine", "memory-backend=memory",
      "-chardev", `socket,id=share,path=${socket}`, "-device", "vhost-user-fs-device,chardev=share,tag=share",
    ];
    return startedWith({ program: "qemu-system-x86_64", args: [...plain, ...devices] }, [daemon], () => rmSync(socket, { force: true }));
  },
};

async function startDaemon(socket: string, share: string): Promise<ChildProcess> {
  const program = DAEMONS.find((path) => existsSync(path));
  if (program === undefined) throw new Error(`no virtiofsd: none of ${DAEMONS.join(", ")}`);
  const daemon = spawn(program, [`--socket-path=${socket}`, "-o", `source=${share}`, "-o", "cache=always", "-o", "sandbox=chroot"], { stdio: ["ignore", "ignore", "ignore"] });
  for (let i = 0; !existsSync(socket) && i < 500; i++) await sleep(10);
  return daemon;
}
