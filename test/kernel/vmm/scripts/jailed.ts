/** VMMs in their jail: started as runtime/vm/machine.ts starts them, with kernels of a few instructions, and looked at from outside. */
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { compile } from "seccomp-bpf-ts";
import { O_RDONLY } from "../../../../linux/abi/fcntl.ts";
import { SIGNALS } from "../../../../linux/abi/signal.ts";
import { AT_FDCWD, Fd } from "../../../../linux/fd.ts";
import { listDirectory, open, pipe, read, readAll, readLinkAt, rewind, writeAll } from "../../../../linux/file.ts";
import { fork } from "../../../../linux/fork.unsafe.ts";
import { poll } from "../../../../linux/poll.ts";
import { POLLIN } from "../../../../linux/abi/poll.ts";
import { openKvm } from "../../../../linux/kvm.ts";
import { createMemfd } from "../../../../linux/memfd.ts";
import { kill, pidfdOpen, tryWaitPid, waitPid } from "../../../../linux/process.ts";
import { seccompFilters } from "../../../../linux/ptrace.ts";
import { sleepMs, waitUntil } from "../../../../linux/sleep.ts";
import { connectUnix, listenUnix, sendMessage } from "../../../../linux/socket.ts";
import type { DeviceConfig } from "../../../../vmm/config.ts";
import { JAIL_PATHS, startJailed } from "../../../../vmm/jail/start.ts";
import { compileVmmFilter } from "../../../../vmm/jail/policy.ts";
import { startPolicy } from "../../../../vmm/jail/start-policy.ts";
import { readSnapshot } from "../../../../vmm/snapshot/file.ts";
import { vmmFiles } from "../../../../runtime/vm/program-files.ts";
import { defineCases, messageOf } from "../../../support/forked.ts";
import { asm, pvhKernel } from "../tiny-kernel.ts";

// What the built program would have: its folder is where the VMM's bundle is.
process.argv[1] = join(import.meta.dirname, "../../../../dist/tssandbox.cjs");
/** Nobody's, and nothing else runs with it. */
const USER = { uid: 77_123_457, gid: 77_123_457 };
const MEGABYTES = 64;
/** What the guest may be given besides. */
const GROWTH = 128;
const TIMEOUT_MS = 20_000;

/** A jailed VMM with a kernel that consists of `code`. */
class Jailed implements Disposable {
  readonly pid: number;
  readonly folder = mkdtempSync(join(tmpdir(), "tssandbox-vmm-jail-"));

  constructor(code: readonly number[], flags: readonly string[] = [], devices: readonly DeviceConfig[] = []) {
    writeFileSync(this.#path("kernel"), pvhKernel([...code, ...asm.powerOff(), ...asm.halt()]));
    const [serial, log] = ["serial", "log"].map((name) => new Fd(openSync(this.#path(name), "a", 0o600)));
    if (serial === undefined || log === undefined) throw new Error("no files");
    const kernel = open(this.#path("kernel"), O_RDONLY);
    const kvm = openKvm();
    const [control, vsock] = ["control", "vsock"].map((name) => listenUnix(this.#path(name)));
    if (control === undefined || vsock === undefined) throw new Error("no sockets");
    const document = createMemfd("vm-config");
    writeAll(document, JSON.stringify({
      vcpus: 2, memoryMegabytes: MEGABYTES, growthMegabytes: GROWTH, kvm: { fd: kvm.number }, serial: { fd: serial.number }, control: { fd: control.number }, sealed: true,
      devices: [{ kind: "rng" }, { kind: "vsock", cid: 3, socket: { fd: vsock.number } }, ...devices],
      source: { kind: "boot", kernel: { fd: kernel.number }, commandLine: "" },
    }));
    rewind(document);
    const kept = [serial, kernel, kvm, control, vsock, document];
    this.pid = startJailed({ jail: { user: USER, files: vmmFiles(), guestMemory: (MEGABYTES + GROWTH) << 20, vcpus: 2 }, args: [...flags, JAIL_PATHS.program, String(document.number)], kept, log });
    for (const fd of [...kept, log]) fd.close();
  }

  #path(name: string): string {
    return join(this.folder, name);
  }

  get serial(): string {
    return readFileSync(this.#path("serial"), "latin1");
  }

  /** What the VMM says to a command. */
  control(command: object, fds: readonly Fd[] = []): string {
    using socket = connectUnix(this.#path("control"));
    sendMessage(socket, Buffer.from(`${JSON.stringify(command)}\n`), fds);
    let answer = "";
    while (!answer.endsWith("\n")) answer += Buffer.from(readAll(socket, 1)).toString();
    return answer.trim();
  }

  waitFor(text: string): void {
    if (!waitUntil(TIMEOUT_MS, () => this.serial.includes(text))) throw new Error(`no ${text}: ${this.serial} ${this.log}`);
  }

  get log(): string {
    return readFileSync(this.#path("log"), "utf8");
  }

  /** How it ends by itself. */
  end() {
    let ended: ReturnType<typeof tryWaitPid>;
    const isOver = waitUntil(TIMEOUT_MS, () => (ended = tryWaitPid(this.pid)) !== undefined);
    return { ended: isOver ? ended?.status : "never", serial: this.serial, log: this.log };
  }

  [Symbol.dispose](): void {
    if (kill(this.pid, SIGNALS.SIGKILL)) waitPid(this.pid);
    rmSync(this.folder, { recursive: true });
  }
}

const text = (path: string): string => readFileSync(path, "utf8");
const threadsOf = (pid: number): number[] => readdirSync(`/proc/${pid}/task`).map(Number);

function statusOf(pid: number): Record<string, string> {
  return Object.fromEntries(text(`/proc/${pid}/status`).split("\n").map((line) => line.split(":\t") as [string, string]));
}

function namespacesOf(pid: number | "self"): Record<string, string> {
  return Object.fromEntries(["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"].map((kind) => [kind, readLinkAt(AT_FDCWD, `/proc/${pid}/ns/${kind}`)]));
}

function descriptorsOf(pid: number): string[] {
  using dir = open(`/proc/${pid}/fd`, O_RDONLY);
  return listDirectory(dir).map((name) => readLinkAt(dir, name).replace(/\d+/g, "N").replace(/.*\/tssandbox-vmm-jail-\w+/, "")).sort();
}

function limitsOf(pid: number): Record<string, string> {
  const lines = text(`/proc/${pid}/limits`).split("\n").slice(1, -1);
  return Object.fromEntries(lines.map((line) => [line.slice(0, 26).trim(), line.slice(26, 68).trim().replace(/\s+/g, " ")]));
}

/** Each mount of its namespace: where, and with what. */
function mountsOf(pid: number): string[] {
  return text(`/proc/${pid}/mountinfo`).trim().split("\n").map((line) => line.split(" ").slice(4, 6).join(" "));
}

defineCases({
  "powers off": (...flags) => {
    using vmm = new Jailed(asm.print("hello\n"), flags);
    return vmm.end();
  },
  "taken over": (folder = "", calls = "") => {
    const log = createMemfd("log");
    const files = new Map([...vmmFiles(), [JAIL_PATHS.folder, folder]]);
    const ended = waitPid(startJailed({ jail: { user: USER, files, guestMemory: MEGABYTES << 20, vcpus: 2 }, args: [JAIL_PATHS.program, calls, String(process.pid)], kept: [], log }));
    rewind(log);
    return { ended: ended?.status, log: Buffer.from(readAll(log)).toString() };
  },
  "filter": () => {
    using vmm = new Jailed([...asm.print("ready\n"), ...asm.spin()]);
    vmm.waitFor("ready");
    const tasks = threadsOf(vmm.pid);
    const filters = tasks.map((task) => seccompFilters(task).map((program) => Buffer.from(program).toString("base64")));
    const policies = [compile(startPolicy()), compileVmmFilter()].map((program) => Buffer.from(program).toString("base64"));
    return { threads: tasks.length, filters: [...new Set(filters.map((programs) => programs.join()))], policies: policies.join() };
  },
  "state": () => {
    using vmm = new Jailed([...asm.print("ready\n"), ...asm.spin()]);
    vmm.waitFor("ready");
    const [mine, its] = [namespacesOf("self"), namespacesOf(vmm.pid)];
    const status = statusOf(vmm.pid);
    return {
      status: Object.fromEntries(["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"].map((name) => [name, status[name]?.trim()])),
      shared: Object.keys(mine).filter((kind) => mine[kind] === its[kind]),
      descriptors: descriptorsOf(vmm.pid),
      limits: limitsOf(vmm.pid),
      mounts: mountsOf(vmm.pid),
    };
  },
  "snapshot": () => {
    using vmm = new Jailed([...asm.print("ready\n"), ...asm.spin()]);
    vmm.waitFor("ready");
    vmm.control({ do: "pause" });
    using file = createMemfd("snapshot");
    const answers = [vmm.control({ do: "memory", megabytes: 63 }), vmm.control({ do: "memory", megabytes: 129 }), vmm.control({ do: "snapshot", path: "/snapshot" }), vmm.control({ do: "snapshot" }, [file]), vmm.control({ do: "resume" }), vmm.control({ do: "stop" })];
    const { memorySize, state } = readSnapshot(file);
    return { answers, memorySize, vcpus: (state as { vcpus: unknown[] }).vcpus.length, ...vmm.end() };
  },
  "its parent is killed": () => {
    const [told, tell] = pipe();
    const parent = fork(() => {
      const vmm = new Jailed([...asm.print("ready\n"), ...asm.spin()]);
      vmm.waitFor("ready");
      writeAll(tell, `${vmm.pid} ${vmm.folder}`);
      sleepMs(TIMEOUT_MS);
      return 0;
    });
    const [pid, folder = ""] = Buffer.from(read(told, 256)).toString().split(" ");
    const pidfd = pidfdOpen(Number(pid));
    kill(parent, SIGNALS.SIGKILL);
    waitPid(parent);
    rmSync(folder, { recursive: true });
    return poll([{ fd: pidfd, events: POLLIN }], TIMEOUT_MS)[0] !== 0;
  },
  "no such file": () => messageOf(() => startJailed({ jail: { user: USER, files: new Map([["/node", "/nowhere"]]), guestMemory: 0, vcpus: 1 }, args: [], kept: [], log: 2 })),
  "is told what to do": (...flags) => {
    using vmm = new Jailed([...asm.print("ready\n"), ...asm.spin()], flags);
    vmm.waitFor("ready");
    const answers = ["pause", "resume", "pause", "resume", "power-button", "stop"].map((command) => vmm.control({ do: command }));
    return { answers, ...vmm.end() };
  },
});
