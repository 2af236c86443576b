// Our VMM beside QEMU's microvm where there is no KVM: in QEMU's emulation of a processor with SVM. `node test/qemu/vmm/microvm.ts [options]`: those of
// bench/microvm/main.ts. QEMU, its libraries and firmware, and virtiofsd are those of this machine's Debian package, copied into the machine, which
// is of the same release.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "../../../scripts/bundle.ts";
import { ensurePackages } from "../../packages.ts";
import { bootMachine, type MachineOptions } from "../machine.ts";
import { REPOSITORY } from "../images.ts";

const FOLDER = join(REPOSITORY, "dist/microvm");
const PROGRAMS = ["/usr/bin/qemu-system-x86_64", "/usr/lib/qemu/virtiofsd"];
const FIRMWARE = ["/usr/share/seabios/bios-microvm.bin", "/usr/share/qemu/bios-microvm.bin", "/usr/share/qemu/linuxboot_dma.bin", "/usr/share/qemu/pvh.bin"];
const SECONDS = 1500;

/** The machine has neither QEMU nor a compiler. */
async function fillFolder(): Promise<void> {
  await bundle(join(REPOSITORY, "bench/microvm/main.ts"), FOLDER, []);
  execFileSync("gcc", ["-static", "-O2", "-o", join(FOLDER, "init"), join(REPOSITORY, "bench/microvm/guest.c")]);
  const libraries = PROGRAMS.flatMap((program) => execFileSync("ldd", [program], { encoding: "utf8" }).match(/\/\S+(?= \()/g) ?? []);
  const firmware = FIRMWARE.filter((path) => existsSync(path));
  execFileSync("tar", ["-C", "/", "-chf", join(FOLDER, "qemu.tar"), ...[...new Set([...PROGRAMS, ...libraries, ...firmware])].map((path) => path.slice(1))]);
}

/** What the machine has already stays as it is. */
const INSIDE = `
modprobe kvm_amd
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
tar -C / --skip-old-files --keep-directory-symlink -xf dist/microvm/qemu.tar
exec node dist/microvm/tssandbox.cjs --kernel /boot/vmlinuz --modules "/lib/modules/$(uname -r)" --init dist/microvm/init "$@"
`;

interface Measured {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/**
 * @param args of bench/microvm/main.ts. @param patience seconds for the machine's answer, one try after the other. @returns what it prints, and on standard error what it tells
 * meanwhile. @throws Error where no machine answers
 */
export async function measureMicrovms(args: readonly string[], machineOptions: MachineOptions = {}, patience: readonly number[] = [SECONDS]): Promise<Measured> {
  await ensurePackages(["qemu-system-x86", "gcc", "libc6-dev"]);
  mkdirSync(FOLDER, { recursive: true });
  try {
    await fillFolder();
    let failure: unknown;
    for (const seconds of patience) {
      try {
        return await measureIn(machineOptions, `set -- ${args.join(" ")}\n${INSIDE}`, seconds);
      } catch (error) {
        failure = error;
        process.stderr.write(`${(error as Error).message}\n`);
      }
    }
    throw failure;
  } finally {
    rmSync(FOLDER, { recursive: true, force: true });
  }
}

/** @throws Error where the machine does not answer */
async function measureIn(options: MachineOptions, script: string, seconds: number): Promise<Measured> {
  await using machine = await bootMachine({ cpu: "EPYC,+svm", ...options });
  const result = await machine.runScript(script, { seconds });
  return result.status === 0 ? result : { ...result, stderr: `${result.stderr}${machine.console().split("\n").slice(-60).join("\n")}` };
}

if (import.meta.main) {
  const args = process.argv.slice(2);
  const { stdout, stderr, status } = await measureMicrovms(args.filter((arg) => arg !== "--instructions"), { countsInstructions: args.includes("--instructions"), bootSeconds: 600 });
  process.stderr.write(stderr);
  process.stdout.write(stdout);
  process.exitCode = status;
}
