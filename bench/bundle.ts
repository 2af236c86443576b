import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Spec } from "../runtime/spec/config.ts";
import { templateSpec } from "../runtime/spec/template.ts";

export interface BenchBundle extends Disposable {
  readonly path: string;
  readonly rootfs: string;
  readonly args: readonly string[];
  /** A directory of the host that the container sees as /volume. */
  readonly volume?: string;
}

export interface BundleContent {
  readonly args: readonly string[];
  /** Makes the root file system, in a directory that has proc, sys, dev and volume. */
  readonly fill: (rootfs: string) => void;
  readonly fillVolume?: (volume: string) => void;
  readonly edit?: (spec: Spec) => Spec;
}

/** A bundle on tmpfs; the configuration is what `spec` writes, without a terminal. 1.0.2 is what the oldest of the peers still takes. */
export function makeBundle({ args, fill, fillVolume, edit = (spec) => spec }: BundleContent): BenchBundle {
  const path = mkdtempSync("/dev/shm/tssandbox-bench-");
  const rootfs = join(path, "rootfs");
  for (const directory of ["proc", "sys", "dev", "volume"]) mkdirSync(join(rootfs, directory), { recursive: true });
  fill(rootfs);
  const volume = fillVolume === undefined ? undefined : join(path, "volume");
  if (volume !== undefined) mkdirSync(volume);
  if (volume !== undefined) fillVolume?.(volume);
  writeFileSync(join(path, "config.json"), JSON.stringify(edit(configure(args, volume))));
  return { path, rootfs, args, ...(volume !== undefined && { volume }), [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
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

/** Its process is busybox's /bin/true, static. */
export const makeBenchBundle = (): BenchBundle =>
  makeBundle({
    args: ["/bin/true"],
    fill(rootfs) {
      mkdirSync(join(rootfs, "bin"));
      copyFileSync("/bin/busybox", join(rootfs, "bin/busybox"));
      symlinkSync("busybox", join(rootfs, "bin/true"));
    },
  });

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
