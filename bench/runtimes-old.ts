/** The runtimes that are compared: each runs a bundle's process in the foreground, with its own way of isolation. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { BenchBundle } from "./bundle.ts";
import { fetchRunsc } from "./runsc.ts";

const tssandbox = join(import.meta.dirname, "../bin/tssandbox");
const LONGEST_MS = 300_000;

export interface Runtime {
  readonly name: RuntimeName;
  /** The command that runs the bundle as the container `id`. */
  command(bundle: BenchBundle, id: string): readonly string[];
}

export type RuntimeName = "native" | "runc" | "runsc" | "namespace" | "sentry";

/** The same root by chroot, the same volume, a network of its own: what the container would cost if isolation were free. */
const NATIVE = `
root=$1 volume=$2
shift 2
ip link set lo up
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
[ -z "$volume" ] || mount --bind "$volume" "$root/volume"
exec chroot "$root" "$@"`;

export function installed(program: string): string | undefined {
  return (process.env["PATH"] ?? "").split(":").map((directory) => join(directory, program)).find(existsSync);
}

const ours = (mode: "namespace" | "sentry"): Runtime => ({ name: mode, command: ({ path }, id) => [tssandbox, "--mode", mode, "run", "--bundle", path, id] });

/** Those that this machine has, and the names of the others. */
export function findRuntimes(): { readonly runtimes: readonly Runtime[]; readonly missing: readonly RuntimeName[] } {
  const runc = installed("runc");
  const runsc = fetchRunsc();
  const runtimes: Runtime[] = [
    { name: "native", command: ({ rootfs, volume, args }) => ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-ec", NATIVE, "native", rootfs, volume ?? "", ...args] },
    ...(runc === undefined ? [] : [{ name: "runc" as const, command: ({ path }: BenchBundle, id: string) => [runc, "run", "--bundle", path, id] }]),
    ...(runsc === undefined ? [] : [{ name: "runsc" as const, command: ({ path }: BenchBundle, id: string) => [...runscCommand(runsc, path), "run", "--bundle", path, id] }]),
    ours("namespace"),
    ours("sentry"),
  ];
  const missing = (["runc", "runsc"] as const).filter((name) => !runtimes.some((runtime) => runtime.name === name));
  return { runtimes, missing };
}

/** @param bundle its directory, where runsc's state goes. */
export const runscCommand = (runsc: string, bundle: string): string[] =>
  [runsc, "--ignore-cgroups", "--network=none", "--platform=systrap", "--root", join(bundle, "runsc")];

let started = 0;

/**
 * Runs the bundle to its end. @param cpu the only processor that all of it may use; any of them where left out.
 * @returns what it has printed; nothing where it fails, which is told on standard error: the other runtimes' values are worth having.
 */
export function runBundle(runtime: Runtime, bundle: BenchBundle, cpu?: string): string {
  started += 1;
  const pinned = cpu === undefined ? [] : ["taskset", "--cpu-list", cpu];
  const [program = "", ...args] = [...pinned, ...runtime.command(bundle, `bench-${process.pid}-${started}`)];
  const { status, signal, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: LONGEST_MS, stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1 << 26 });
  if (status === 0) return stdout;
  console.error(`${runtime.name}: ${bundle.args.join(" ")}: ${signal ?? `exit status ${status}`}: ${stderr.trim().split("\n").slice(-3).join(" | ")}`);
  return "";
}
