/**
 * Our VMM beside QEMU's microvm, in turns: `node bench/microvm/main.ts --kernel VMLINUZ --modules /lib/modules/RELEASE [options]`, as root, on a machine
 * with /dev/kvm and qemu-system-x86_64. Prints JSON: for each VMM and each value one number a round. Without KVM: test/qemu/vmm/microvm.ts.
 *
 *   --rounds N        boots and restores of each; 5 where left out; with 0 the one that warms up is told
 *   --device-rounds N of disk and file system; 2
 *   --megabytes N     size of the disk's and the file's transfers; 64
 *   --init FILE       guest.c, compiled already
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { SAME_IDS } from "../../gofer/hostfs/ownership.ts";
import { HostFileSystem } from "../../gofer/hostfs/file-system.ts";
import { serveGofer } from "../../gofer/serve.ts";
import { O_DIRECTORY, O_PATH } from "../../linux/abi/fcntl.ts";
import { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { unpackKernel } from "../../vmm/image/kernel.ts";
import { benchInitramfs } from "./initramfs.ts";
import { boot, devices, restore, save, type Values } from "./measure.ts";
import { ours, qemu, type Files } from "./vmms.ts";

const home = join(import.meta.dirname, "../..");
const GOFER_SOCKET = 3;
const MIB = 1 << 20;

/** The file server of our guest, without its jail: as in `--mode vm`, a process of its own. */
function gofer(directory: string): void {
  const fileSystem = new HostFileSystem({ root: open(directory, O_PATH | O_DIRECTORY), readOnly: false, cache: "exclusive", ownership: SAME_IDS }, { nodeFds: 1024, dataFds: 256, nodes: 1 << 16 });
  serveGofer([{ fuse: new Fd(GOFER_SOCKET), link: "socket", fileSystem }]);
}

const options = {
  kernel: { type: "string" }, modules: { type: "string" }, init: { type: "string" }, rounds: { type: "string", default: "5" },
  "device-rounds": { type: "string", default: "2" }, megabytes: { type: "string", default: "64" },
} as const;

/** On tmpfs: no disk of the host is part of what is measured. */
function prepare(work: string, values: { readonly kernel: string; readonly modules: string; readonly init: string; readonly megabytes: number }): Files {
  const at = (name: string) => join(work, name);
  writeFileSync(at("initramfs"), benchInitramfs(values.init, values.modules));
  const kernel = readFileSync(values.kernel);
  writeFileSync(at("kernel"), kernel);
  writeFileSync(at("unpacked"), unpackKernel(kernel));
  writeFileSync(at("disk"), "");
  truncateSync(at("disk"), values.megabytes * MIB);
  mkdirSync(at("share"));
  return { kernel: at("kernel"), unpacked: at("unpacked"), initramfs: at("initramfs"), disk: at("disk"), share: at("share"), work, vmm: join(home, "dist/vmm/tssandbox.cjs") };
}

function compiled(work: string): string {
  const program = join(work, "init");
  execFileSync("gcc", ["-static", "-O2", "-o", program, join(home, "bench/microvm/guest.c")]);
  return program;
}

export type Results = Record<string, Values[]>;

async function main(): Promise<void> {
  const { values } = parseArgs({ options });
  if (values.kernel === undefined || values.modules === undefined) throw new Error("--kernel and --modules are needed");
  if (!existsSync("/dev/kvm")) throw new Error("there is no /dev/kvm");
  const work = mkdtempSync("/dev/shm/tssandbox-microvm-");
  try {
    const files = prepare(work, { kernel: values.kernel, modules: values.modules, init: values.init ?? compiled(work), megabytes: Number(values.megabytes) });
    process.stdout.write(`${JSON.stringify(await measureAll(files, Number(values.rounds), Number(values["device-rounds"]), Number(values.megabytes)), null, 1)}\n`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** One round before the others warms up, and is told of only where there are no others. */
async function measureAll(files: Files, rounds: number, deviceRounds: number, megabytes: number): Promise<Results> {
  const results: Results = {};
  const add = (name: string, round: number, found: Values) => {
    process.stderr.write(`${name} ${round}: ${JSON.stringify(found)}\n`);
    if (round > 0 || rounds === 0) (results[name] ??= []).push(found);
  };
  const snapshot = join(files.work, "snapshot");
  const unpacked = { ...files, kernel: files.unpacked };
  await save(ours, unpacked, snapshot);
  for (let round = 0; round <= rounds; round++) {
    // In each round another one is first.
    for (const vmm of round % 2 === 0 ? [ours, qemu] : [qemu, ours]) {
      add(`${vmm.name} boot`, round, await boot(vmm, files));
      add(`${vmm.name} boot, unpacked`, round, await boot(vmm, unpacked));
    }
    add("tssandbox restore", round, await restore(files, snapshot));
  }
  rmSync(snapshot);
  for (let round = 1; round <= deviceRounds; round++) {
    for (const vmm of round % 2 === 0 ? [ours, qemu] : [qemu, ours]) {
      rmSync(files.share, { recursive: true });
      mkdirSync(files.share);
      add(`${vmm.name} devices`, round, await devices(vmm, files, `megabytes=${megabytes}`));
    }
  }
  return results;
}

const [word, directory = ""] = process.argv.slice(2);
if (word === "gofer") gofer(directory);
else {
  void main().catch((error: unknown) => {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  });
}
