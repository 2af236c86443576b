import { defineConfig } from "vitest/config";

// Lanes: `unit` needs nothing but Node; `kernel` needs root on a Linux host; `sandbox` runs real programs of a Debian tree, which it builds, in
// sandboxes; `engines` installs and starts real engines; `qemu` boots a virtual machine. Each is a vitest project, so that `--project NAME` runs it alone.
const lane = (name: string, include: string[], timeoutSeconds: number, more: object = {}) => ({
  extends: true as const,
  test: { name, include, testTimeout: timeoutSeconds * 1000, hookTimeout: timeoutSeconds * 1000, ...more },
});

/** They need cgroup v2 alone, AppArmor, or systemd as PID 1: the `qemu` lane runs them inside its machine (test/qemu/inside.ts). */
const onlyInQemu = ["test/kernel/v2/**", "test/kernel/systemd/**"];

export default defineConfig({
  test: {
    pool: "forks",
    projects: [
      lane("unit", ["{linux,policies,runtime,sentry,gofer,vmm,bench,shim}/**/*.test.ts"], 10),
      lane("kernel", ["test/kernel/**/*.test.ts"], 120, { exclude: process.env["TSSANDBOX_IN_QEMU"] === undefined ? onlyInQemu : [] }),
      lane("sandbox", ["test/sandbox/**/*.test.ts"], 300),
      // Attacks and floods, one file at a time: what they exhaust is not to look like another's failure.
      lane("hostile", ["test/hostile/**/*.test.ts"], 120, { fileParallelism: false, sequence: { groupOrder: 1 } }),
      lane("engines", ["test/engines/**/*.test.ts"], 300),
      // One machine at a time: each takes both CPUs. The limit is for a busy host: on an idle one no file takes a quarter of it.
      lane("qemu", ["test/qemu/**/*.test.ts"], 1800, { fileParallelism: false, sequence: { groupOrder: 1 } }),
    ],
  },
});
