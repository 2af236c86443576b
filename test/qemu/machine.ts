// A virtual machine with Debian's kernel, cgroup v2 and systemd as PID 1, for what the development machine lacks.
//
//   host (this process)                        guest
//   ------------------------------------------------------------------------------
//   listen on a unix socket
//   start QEMU, which connects                 kernel, initramfs, systemd, guest/agent
//                              <-------------  ready UPTIME
//   ID SECONDS BASE64(script)  ------------->  runs it in /repo
//                              <-------------  ID STATUS BASE64(stdout) BASE64(stderr)
//   kill QEMU: its disks are snapshots, nothing is kept
//
// The connection is a virtio-serial port; the serial console goes to a file, whose end every failure shows.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";

import { ensurePackages } from "../packages.ts";
import type { Images } from "./images.ts";
import { packRepository, prepareImages } from "./images.ts";

export interface MachineOptions {
  /** QEMU's CPU model with flags, for instance "EPYC,+svm" for nested KVM. Default: all that the accelerator has. */
  readonly cpu?: string;
  /** The machine's clock counts instructions, a nanosecond each, and skips idle time: times do not depend on who else works on the host. It has one processor then. */
  readonly countsInstructions?: boolean;
  /** Longest that booting may take, in seconds. Default 300: it takes about 10, and the machine may be busy. */
  readonly bootSeconds?: number;
}

export interface CommandOptions {
  /** Longest that the command may run, in seconds; then it ends with status 124. Default 300. */
  readonly seconds?: number;
  /** Environment variables on top of the agent's. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface CommandResult {
  /** Exit status as a shell sees it: 124 or 137 when the time ran out. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Machine extends AsyncDisposable {
  /** Seconds from the kernel's start to the agent's, by the guest's clock. */
  readonly bootSeconds: number;
  /** What was printed on the serial console so far, the kernel's messages included. */
  console(): string;
  /**
   * Runs a bash script in /repo, as root. One at a time: a second waits for the first.
   *
   * @throws Error with the console's last lines if the machine stops or does not answer in time.
   */
  runScript(script: string, options?: CommandOptions): Promise<CommandResult>;
}

/** Longest that QEMU itself may take to connect, in seconds: it does so before the guest runs. */
const START_SECONDS = 120;
/** How much longer than its command the machine may take to answer, in seconds. */
const ANSWER_GRACE_SECONDS = 120;
/** A panic of the kernel takes about 60 lines. */
const CONSOLE_TAIL_LINES = 100;

/**
 * Boots a machine on the repository as it is now; builds the images first where the cache has none.
 *
 * @throws Error with the console's last lines if it does not come up.
 */
export async function bootMachine(options: MachineOptions = {}): Promise<Machine> {
  await ensurePackages(["qemu-system-x86", "e2fsprogs", "gcc", "libc6-dev"]);
  const images = await prepareImages();
  const folder = await mkdtemp(join(tmpdir(), "tssandbox-qemu-"));
  try {
    const repository = await packRepository(folder);
    return await QemuMachine.start(folder, qemuArguments(images, repository, folder, options), options.bootSeconds ?? 300);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Runs a program in the machine, in /repo, with our Node and node_modules/.bin first in PATH. */
export async function runInMachine(
  machine: Machine,
  command: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const variables = Object.entries(options.env ?? {}).map(([name, value]) => `export ${name}=${shellQuote(value)}\n`);
  return machine.runScript(`${variables.join("")}exec ${command.map(shellQuote).join(" ")}`, options);
}

function shellQuote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

function qemuArguments(images: Images, repository: string, folder: string, options: MachineOptions): string[] {
  const accelerator = acceleratorOf(options);
  // panic=-1 reboots at once, which -no-reboot turns into QEMU's end: a dead kernel is noticed.
  // no_timer_check: where the host is busy the timer's first interrupts come late, which Linux takes for a broken board (panic in check_timer).
  const kernelArguments = "console=ttyS0 panic=-1 oops=panic no_timer_check";
  const flags = [
    `-M q35,usb=off,graphics=off -accel ${accelerator} -cpu ${options.cpu ?? "max"} -smp ${options.countsInstructions === true ? 1 : 2} -m 2G`,
    "-nodefaults -display none -no-reboot",
    "-device virtio-serial-pci,addr=7 -device virtserialport,chardev=agent,nr=1",
    // The order of the slots is the order of the names: vda, vdb, vdc (guest/init relies on it).
    "-device virtio-blk-pci,drive=root,addr=4",
    "-device virtio-blk-pci,drive=modules,addr=5",
    "-device virtio-blk-pci,drive=repo,addr=6",
  ];
  const paths = [
    ["-kernel", images.kernel],
    ["-initrd", images.initramfs],
    ["-append", kernelArguments],
    ["-serial", `file:${join(folder, "console")}`],
    ["-chardev", `socket,id=agent,path=${join(folder, "agent")}`],
    ["-drive", `if=none,id=root,format=raw,snapshot=on,file=${images.root}`],
    ["-drive", `if=none,id=modules,format=raw,snapshot=on,file=${images.modules}`],
    ["-drive", `if=none,id=repo,format=raw,snapshot=on,file=${repository}`],
  ];
  return [...paths.flat(), ...flags.flatMap((line) => line.split(" "))];
}

function acceleratorOf({ countsInstructions }: MachineOptions): string {
  if (countsInstructions === true) return "tcg,thread=single -icount shift=0,sleep=off";
  return hasHardwareVirtualization() ? "kvm" : "tcg,thread=multi";
}

/** A /dev/kvm without vmx or svm is software's, far slower for a whole kernel than QEMU's own emulation. */
function hasHardwareVirtualization(): boolean {
  return existsSync("/dev/kvm") && /^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync("/proc/cpuinfo", "utf8"));
}

class QemuMachine implements Machine {
  readonly #folder: string;
  readonly #qemu: ChildProcess;
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;
  #last: Promise<unknown> = Promise.resolve();
  #commands = 0;
  bootSeconds = Number.NaN;

  private constructor(folder: string, qemu: ChildProcess, socket: Socket) {
    this.#folder = folder;
    this.#qemu = qemu;
    this.#socket = socket;
    // A write to a machine that died: the missing answer tells it.
    socket.on("error", () => undefined);
    this.#lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  }

  static async start(folder: string, args: readonly string[], seconds: number): Promise<Machine> {
    const server = createServer().listen(join(folder, "agent"));
    await once(server, "listening");
    const stderr = openSync(join(folder, "stderr"), "w");
    // pdeathsig: QEMU must not outlive a test process that is killed. QEMU puts its snapshots into TMPDIR.
    const qemu = spawn("setpriv", ["--pdeathsig", "KILL", "qemu-system-x86_64", ...args], {
      stdio: ["ignore", "ignore", stderr],
      env: { ...process.env, TMPDIR: folder },
    });
    closeSync(stderr);
    const ended = once(qemu, "exit").then(() => []);
    const late = sleep(START_SECONDS * 1000, [], { ref: false });
    const [socket] = (await Promise.race([once(server, "connection"), ended, late])) as [Socket?];
    server.close();
    if (socket === undefined) {
      qemu.kill("SIGKILL");
      throw new Error(`QEMU did not start: ${readFileSync(join(folder, "stderr"), "utf8")}`);
    }
    const machine = new QemuMachine(folder, qemu, socket);
    const [, uptime] = (await machine.#nextLine(seconds)).split(" ");
    machine.bootSeconds = Number(uptime);
    return machine;
  }

  console(): string {
    return stripVTControlCharacters(readFileSync(join(this.#folder, "console"), "utf8"));
  }

  runScript(script: string, options: CommandOptions = {}): Promise<CommandResult> {
    const answer = this.#last.then(() => this.#ask(script, options.seconds ?? 300));
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async #ask(script: string, seconds: number): Promise<CommandResult> {
    const id = String(++this.#commands);
    this.#socket.write(`${id} ${seconds} ${Buffer.from(script).toString("base64")}\n`);
    const [answered, status, stdout, stderr] = (await this.#nextLine(seconds + ANSWER_GRACE_SECONDS)).split(" ");
    if (answered !== id || stdout === undefined || stderr === undefined) throw this.#failure(`answered "${answered}" to ${id}`);
    return { status: Number(status), stdout: decode(stdout), stderr: decode(stderr) };
  }

  /** The guest's next line; a machine that does not send one in time is stopped, as later answers would be mistaken. */
  async #nextLine(seconds: number): Promise<string> {
    const abandon = new AbortController();
    const silence = sleep(seconds * 1000, "silent" as const, { signal: abandon.signal }).catch(() => "silent" as const);
    const next = await Promise.race([this.#lines.next(), silence]);
    abandon.abort();
    if (next === "silent") throw this.#failure(`no answer within ${seconds} s`);
    if (next.done === true) throw this.#failure("stopped by itself");
    return next.value;
  }

  #failure(what: string): Error {
    this.#qemu.kill("SIGKILL");
    const tail = this.console().trimEnd().split("\n").slice(-CONSOLE_TAIL_LINES);
    const stderr = readFileSync(join(this.#folder, "stderr"), "utf8");
    return new Error(`virtual machine: ${what}\n${stderr}--- end of its console ---\n${tail.join("\n")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    if (this.#qemu.exitCode === null && this.#qemu.signalCode === null) {
      this.#qemu.kill("SIGKILL");
      await once(this.#qemu, "exit");
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** guest/agent puts a dot before each field, so that an empty one is a word too. */
function decode(field: string): string {
  return Buffer.from(field.slice(1), "base64").toString();
}
