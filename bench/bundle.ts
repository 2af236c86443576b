import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { templateSpec } from "../runtime/spec/template.ts";

export interface BenchBundle extends Disposable {
  readonly path: string;
  readonly rootfs: string;
}

/** A bundle on tmpfs whose process is busybox's /bin/true, static; the configuration is what `spec` writes, without a terminal. */
export function makeBenchBundle(): BenchBundle {
  const path = mkdtempSync("/dev/shm/tssandbox-bench-");
  const rootfs = join(path, "rootfs");
  mkdirSync(join(rootfs, "bin"), { recursive: true });
  for (const directory of ["proc", "sys", "dev"]) mkdirSync(join(rootfs, directory));
  copyFileSync("/bin/busybox", join(rootfs, "bin/busybox"));
  symlinkSync("busybox", join(rootfs, "bin/true"));
  const spec = templateSpec();
  // 1.0.2 is what the oldest of the peers still takes.
  writeFileSync(join(path, "config.json"), JSON.stringify({ ...spec, ociVersion: "1.0.2", process: { ...spec.process, terminal: false, args: ["/bin/true"] } }));
  return { path, rootfs, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
