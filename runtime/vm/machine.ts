/**
 * The processes of a container's machine, as children of its stand-in, with which they end:
 *
 *   stand-in --+-- VMM     executed anew, in a jail (vmm/jail/enter.ts); killed with its parent
 *              +-- gofer   jailed with what is lent; ends when the VMM's sockets close
 *
 * A container that joins a machine has a gofer alone (join.ts).
 */
import { openSync, readFileSync } from "node:fs";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import type { UserIds } from "../../linux/credentials.ts";
import { check, inStep } from "../../linux/errors.ts";
import { Fd } from "../../linux/fd.ts";
import { open, rewind, writeAll } from "../../linux/file.ts";
import { tryClone } from "../../linux/fork.unsafe.ts";
import type { NodeResources } from "../../linux/inherited.unsafe.ts";
import { openKvm } from "../../linux/kvm.ts";
import { createMemfd } from "../../linux/memfd.ts";
import { kill, shellCode, tryWaitPid, waitPid } from "../../linux/process.ts";
import { listenUnix, socketPair } from "../../linux/socket.ts";
import { runGofer, type GoferOptions } from "../../gofer/main.ts";
import type { Loan } from "../../gofer/export.ts";
import type { DeviceConfig, VmConfig } from "../../vmm/config.ts";
import type { JailFiles } from "../../vmm/jail/enter.ts";
import { JAIL_PATHS, startJailed } from "../../vmm/jail/start.ts";
import { claimIds } from "../sandbox/ids.ts";
import { VSOCK } from "./connect.ts";
import { CONTROL } from "./control.ts";
import type { NetworkCard } from "./network.ts";
import type { MachineSettings } from "./settings.ts";

export interface MachineRequest {
  readonly settings: MachineSettings;
  /** Of the VMM's jail. */
  readonly files: JailFiles;
  /** By tag. */
  readonly loans: ReadonlyMap<string, Loan>;
  /** File systems that containers which come later can be lent. */
  readonly places: number;
  readonly cards: readonly NetworkCard[];
  /** The VMM's snapshot, which the machine goes on from instead of booting. */
  readonly snapshot?: string | undefined;
  /** The container's state directory. */
  readonly directory: string;
  readonly resources: NodeResources;
}

const SOCK_STREAM = 1;
const SERIAL = "serial.log";
const GUEST_CID = 3;
/**
 * The serial port is for the kernel's last words. Memory that comes while the guest runs is used at once, and most of it so that it can be taken back
 * (Linux Documentation/admin-guide/mm/memory-hotplug.rst).
 */
const COMMAND_LINE = "console=ttyS0 quiet loglevel=4 panic=-1 pci=off memhp_default_state=online memory_hotplug.online_policy=auto-movable";
const MIB = 1 << 20;

export class HostMachine {
  /** The devices by the loans' names: the same. */
  readonly tags: Readonly<Record<string, string>>;
  readonly #vmm: number;
  readonly #gofer: number;
  readonly #directory: string;

  private constructor(vmm: number, gofer: number, { directory, loans }: MachineRequest) {
    this.tags = Object.fromEntries([...loans.keys()].map((name) => [name, name]));
    this.#directory = directory;
    this.#vmm = vmm;
    this.#gofer = gofer;
  }

  /** Preconditions: a forked process of one thread. @throws SysError */
  static start(request: MachineRequest): HostMachine {
    const links = openLinks(request.loans);
    const log = new Fd(openSync(`${request.directory}/sandbox.log`, "a", 0o600));
    // Its lock is held by this process, with which the VMM ends.
    const ids = inStep("ids", claimIds);
    const vmm = inStep("vmm", () => startVmm(request, ids.sentry, links.map(({ name, ends }) => ({ tag: name, fd: ends[0] })), log));
    for (const { ends } of links) ends[0].close();
    const gofer = startGofer(links, { log, resources: request.resources });
    log.close();
    return new HostMachine(vmm, gofer, request);
  }

  /** @throws Error where one of them has ended, with what the guest's kernel has said last. */
  check(): void {
    const gofer = tryWaitPid(this.#gofer)?.status;
    if (gofer !== undefined && shellCode(gofer) !== 0) throw new Error(`the gofer has ended with ${shellCode(gofer)}`);
    // It ends well when the VMM has ended, or is about to.
    const vmm = gofer === undefined ? tryWaitPid(this.#vmm) : waitPid(this.#vmm);
    if (vmm !== undefined) throw new Error(`the virtual machine has ended with ${shellCode(vmm.status)}${lastLine(this.#directory)}`);
  }

  /** Ends the machine: its guest has nothing more to do. */
  end(): void {
    kill(this.#vmm, SIGNALS.SIGKILL);
    waitPid(this.#vmm);
    // Its connections are closed now: what the guest has written is with the files.
    waitPid(this.#gofer);
  }
}

/** A loan and the two ends of its connection: the VMM's, the gofer's. */
export interface FileLink {
  readonly name: string;
  readonly loan: Loan;
  readonly ends: readonly [Fd, Fd];
}

export const openLinks = (loans: ReadonlyMap<string, Loan>): readonly FileLink[] =>
  [...loans].map(([name, loan]) => ({ name, loan, ends: socketPair(SOCK_STREAM) }));

/** Takes the loans' roots and the gofer's ends along. @returns its pid. @throws SysError */
export function startGofer(links: readonly FileLink[], { resources, ...options }: GoferOptions & { readonly resources: NodeResources }): number {
  return inStep("gofer", () => {
    const pid = clone(() => {
      const exports = links.map(({ loan, ends }) => ({ ...loan, fuse: ends[1], link: "socket" as const }));
      // The stand-in has dropped the rings already: what is mapped in their place now is ours.
      return runGofer(exports, { ...options, resources: { rings: [], eventFds: resources.eventFds } });
    });
    for (const { loan, ends } of links) {
      ends[1].close();
      loan.root.close();
    }
    return pid;
  });
}

/**
 * A fork by the system call alone. In a child of libc's fork libuv closes the descriptors of its signal pipe, by numbers that are ours since they
 * were dropped (linux/inherited.unsafe.ts).
 */
const clone = (body: () => number): number => check(tryClone({ namespaces: 0, cgroup: undefined }, body), "clone3");

const LINE_LIMIT = 500;

/** What stands last on the guest's serial port. */
function lastLine(directory: string): string {
  const line = readFileSync(`${directory}/${SERIAL}`, "latin1").trimEnd().split("\n").at(-1) ?? "";
  return line === "" ? "" : `; its last words: ${JSON.stringify(line.trim().slice(-LINE_LIMIT))}`;
}

/** @param user the VMM's alone. */
function startVmm({ settings, files, cards, directory, places, snapshot }: MachineRequest, user: UserIds, links: readonly { readonly tag: string; readonly fd: Fd }[], log: Fd): number {
  const kept: Fd[] = [];
  const keep = (fd: Fd) => {
    kept.push(fd);
    return { fd: fd.number };
  };
  const file = (path: string) => keep(open(path, fcntl.O_RDONLY));
  using path = open(directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
  const { netBytesPerSecond: netLimit } = settings;
  const devices: DeviceConfig[] = [
    { kind: "pmem", file: file(settings.image), readOnly: true },
    { kind: "vsock", cid: GUEST_CID, socket: keep(listenUnix(`${path.procPath}/${VSOCK}`)) },
    { kind: "rng" },
    ...cards.map(({ tap, mac, mtu }) => ({ kind: "net" as const, tap: keep(tap), mac, mtu, ...(netLimit === undefined ? {} : { bytesPerSecond: netLimit }) })),
    ...links.map(({ tag, fd }) => ({ kind: "remote-fs" as const, tag, ...keep(fd) })),
    ...Array.from({ length: places }, (_, i) => ({ kind: "remote-fs" as const, tag: `place-${i}` })),
  ];
  const config: VmConfig = {
    vcpus: settings.vcpus,
    memoryMegabytes: settings.memoryMegabytes,
    hugePages: settings.hugePages,
    ...(settings.growthMegabytes === 0 ? {} : { growthMegabytes: settings.growthMegabytes }),
    kvm: keep(openKvm()),
    serial: keep(new Fd(openSync(`${directory}/${SERIAL}`, "a", 0o600))),
    control: keep(listenUnix(`${path.procPath}/${CONTROL}`)),
    sealed: true,
    devices,
    source: snapshot === undefined
      ? { kind: "boot", kernel: file(settings.kernel), initramfs: file(settings.initramfs), commandLine: COMMAND_LINE }
      : { kind: "snapshot", file: file(snapshot) },
  };
  using document = createMemfd("vm-config");
  writeAll(document, JSON.stringify(config));
  rewind(document);
  kept.push(document);
  const guestMemory = (settings.memoryMegabytes + settings.growthMegabytes) * MIB;
  const pid = startJailed({ jail: { user, files, guestMemory, vcpus: settings.vcpus }, args: [JAIL_PATHS.program, String(document.number)], kept, log });
  for (const fd of kept) fd.close();
  return pid;
}
