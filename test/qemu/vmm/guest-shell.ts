// A shell in the guest, on its virtio console: one command at a time. Runs inside the machine of the qemu lane.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { closeSync, constants, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { VMM_NODE_FLAGS } from "../../../vmm/node-flags.ts";
import type { DeviceConfig, VmConfig } from "../../../vmm/config.ts";

/** What the initramfs runs: a shell that reads commands from the console, a line each, and says when each has ended. */
export const SHELL_SCRIPT = `
$b --install -s /bin; export PATH=/bin
echo "shell at $(cut -d' ' -f1 /proc/uptime)" >/dev/ttyS0
exec <>/dev/hvc0 >&0 2>&0
# The settings end with the last to have it open.
stty raw -echo
echo READY
while read -r line; do eval "$line"; printf '\\nEND %s\\n' $?; done
poweroff -f
`;

export interface GuestOptions {
  readonly vcpus?: number;
  readonly devices?: readonly DeviceConfig[];
  readonly source?: VmConfig["source"];
  readonly growthMegabytes?: number;
}

export interface Answer {
  readonly status: number;
  readonly output: string;
}

/** The bundle that ../vmm.test.ts makes. Stripping types in an emulated CPU takes seconds, and has crashed V8 there (test/kernel/v2/cgroups.test.ts). */
const VMM_COMMAND = ["dist/vmm/tssandbox.cjs"];
const KERNEL = "/boot/vmlinuz";
const QUIET = "console=ttyS0 panic=-1 quiet loglevel=4 pci=off memhp_default_state=online memory_hotplug.online_policy=auto-movable";
let count = 0;

/** A VMM process with a guest whose console we hold. */
export class Guest {
  readonly folder: string;
  readonly process: ChildProcess;
  readonly ended: Promise<number>;
  #stderr = "";
  #input: number | undefined;
  #seen = 0;

  constructor(initramfs: string, options: GuestOptions = {}) {
    this.folder = `/run/vmm-guest-${++count}`;
    rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(this.folder);
    for (const name of ["serial", "output"]) writeFileSync(this.path(name), "");
    const config: VmConfig = {
      vcpus: options.vcpus ?? 1, memoryMegabytes: 256, serial: { path: this.path("serial") }, control: { path: this.path("control") },
      devices: [{ kind: "console", output: { path: this.path("output") }, input: { path: this.path("input") } }, ...(options.devices ?? [])],
      ...(options.growthMegabytes === undefined ? {} : { growthMegabytes: options.growthMegabytes }),
      source: options.source ?? { kind: "boot", kernel: { path: KERNEL }, initramfs: { path: initramfs }, commandLine: QUIET },
    };
    writeFileSync(this.path("config"), JSON.stringify(config));
    // Both ends of the FIFO are open from the start, so that nobody waits for the other.
    execFileSync("mkfifo", [this.path("input")]);
    this.#input = openSync(this.path("input"), constants.O_RDWR);
    this.process = spawn(process.execPath, [...VMM_NODE_FLAGS, ...VMM_COMMAND, this.path("config")], { stdio: ["ignore", "ignore", "pipe"] });
    this.process.stderr?.on("data", (data: Buffer) => (this.#stderr += data.toString()));
    // Not "exit": what it has written on standard error may come later.
    this.ended = once(this.process, "close").then(([code]) => code as number);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  get stderr(): string {
    return this.#stderr;
  }

  get serial(): string {
    return readFileSync(this.path("serial"), "utf8");
  }

  /** @param text a whole line, as a regular expression. */
  async waitFor(text: string, seconds: number): Promise<string> {
    const end = performance.now() + seconds * 1000;
    for (;;) {
      const output = readFileSync(this.path("output"), "utf8").slice(this.#seen);
      const match = new RegExp(`^${text}\\r?\\n`, "m").exec(output);
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        return output.slice(0, match.index + match[0].length);
      }
      if (performance.now() > end || this.process.exitCode !== null) {
        throw new Error(`no "${text}" from the guest (exit ${this.process.exitCode}):\n${output}\n--- serial ---\n${this.serial.slice(-3000)}\n${this.#stderr}`);
      }
      await sleep(20);
    }
  }

  ready(): Promise<string> {
    return this.waitFor("READY", 300);
  }

  async run(command: string, seconds = 180): Promise<Answer> {
    if (this.#input === undefined) throw new Error("the guest's console is closed");
    writeSync(this.#input, `${command}\n`);
    const text = await this.waitFor("END \\d+", seconds);
    const [, output = "", status = ""] = /^([^]*?)END (\d+)\r?\n$/.exec(text) ?? [];
    return { status: Number(status), output: output.replaceAll("\r", "") };
  }

  /** One command of the control socket. */
  async control(command: object): Promise<unknown> {
    const socket = connect(this.path("control"));
    socket.write(`${JSON.stringify(command)}\n`);
    let answer = "";
    // Until the line is whole. A machine that ends before that closes the socket: an error, not a wait without end.
    for await (const data of socket) if ((answer += String(data)).endsWith("\n")) break;
    if (answer === "") throw new Error("the machine has not answered");
    return JSON.parse(answer);
  }

  async stop(): Promise<number> {
    if (this.process.exitCode === null) await this.control({ do: "stop" }).catch(() => this.process.kill("SIGKILL"));
    const code = await this.ended;
    if (this.#input !== undefined) closeSync(this.#input);
    this.#input = undefined;
    return code;
  }
}
