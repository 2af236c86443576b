import { defineConfig } from "vitest/config";

// Lanes: `unit` needs nothing but Node; `kernel` needs root on a Linux host; `engines` installs and starts real
// engines; `qemu` boots a virtual machine. Each is a vitest project, so that `--project NAME` runs it alone.
const lane = (name: string, include: string[], timeoutSeconds: number) => ({
  extends: true as const,
  test: { name, include, testTimeout: timeoutSeconds * 1000, hookTimeout: timeoutSeconds * 1000 },
});

export default defineConfig({
  test: {
    pool: "forks",
    projects: [
      lane("unit", ["{linux,policies,runtime}/**/*.test.ts"], 10),
      lane("kernel", ["test/kernel/**/*.test.ts"], 60),
      lane("engines", ["test/engines/**/*.test.ts"], 300),
      lane("qemu", ["test/qemu/**/*.test.ts"], 600),
    ],
  },
});
