import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Spec } from "../runtime/spec/config.ts";
import { templateSpec } from "../runtime/spec/template.ts";
import { compile, workDirectory } from "./work.ts";

export interface BenchBundle extends Disposable {
  readonly path: string;
  readonly rootfs: string;
  readonly args: readonly string[];
  /** A directory of the host that the container sees as /volume. */
  readonly volume?: string;
  /** The program needs no /proc, /dev, volume or network: natively it is a bare process, so that nothing else is measured. */
  readonly bare: boolean;
}

export interface BundleContent {
  readonly args: readonly string[];
  /** Makes the root file system, in a directory that has proc, sys, dev and volume. */
  readonly fill: (rootfs: string) => void;
  readonly fillVolume?: (volume: string) => void;
  readonly edit?: (spec: Spec) => Spec;
  readonly bare?: boolean;
}

/** A bundle on tmpfs; the configuration is what `spec` writes, without a terminal. 1.0.2 is what the oldest of the peers still takes. */
export function makeBundle({ args, fill, fillVolume, edit = (spec) => spec, bare = false }: BundleContent): BenchBundle {
  const path = mkdtempSync(join(workDirectory(), "bundle-"));
  // Users of a user namespace pass through.
  for (const directory of [workDirectory(), path]) chmodSync(directory, 0o755);
  const rootfs = join(path, "rootfs");
  for (const directory of ["proc", "sys", "dev", "volume"]) mkdirSync(join(rootfs, directory), { recursive: true });
  fill(rootfs);
  const volume = fillVolume === undefined ? undefined : join(path, "volume");
  if (volume !== undefined) mkdirSync(volume);
  if (volume !== undefined) fillVolume?.(volume);
  writeFileSync(join(path, "config.json"), JSON.stringify(edit(configure(args, volume))));
  return { path, rootfs, args, bare, ...(volume !== undefined && { volume }), [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** The same bundle with another command. */
export function withArgs(bundle: BenchBundle, args: readonly string[]): BenchBundle {
  const file = join(bundle.path, "config.json");
  const spec = JSON.parse(readFileSync(file, "utf8")) as Spec;
  writeFileSync(file, JSON.stringify({ ...spec, process: { ...spec.process, args } }));
  return { ...bundle, args };
}

function configure(args: readonly string[], volume: string | undefined): Spec {
  const spec = templateSpec();
  const mounts = [...(spec.mounts ?? []), ...(volume === undefined ? [] : [{ destination: "/volume", type: "bind", source: volume, options: ["rbind", "rw"] }])];
  if (spec.process === undefined) throw new Error("the template has no process");
  return { ...spec, ociVersion: "1.0.2", process: { ...spec.process, terminal: false, args: [...args] }, mounts };
}

/** A root file system with nothing but bench/guest/plain.c. */
export const plainBundle = (what: "true" | "hello" | "idle"): BenchBundle => makeBundle({ args: ["/plain", what], fill: (rootfs) => copyFileSync(compile("bench/guest/plain.c"), join(rootfs, "plain")), bare: true });

/** An image in which programs write, as those of engines are: writable root, the capabilities that docker gives. */
export function likeAnEngine(spec: Spec): Spec {
  const names = ["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"];
  const capabilities = names.map((name) => `CAP_${name}`);
  if (spec.process === undefined) throw new Error("the template has no process");
  return {
    ...spec,
    root: { path: "rootfs", readonly: false },
    process: { ...spec.process, capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities } },
  };
}
