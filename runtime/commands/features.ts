import type { Registry } from "./registry.ts";
import { features } from "../spec/features.ts";
import { SECCOMP_FLAGS } from "../spec/names.ts";
import { VERSION } from "../version.ts";
import { print } from "./print.ts";

export function registerFeatures({ program, action }: Registry): void {
  program
    .command("features")
    .description("print what this runtime can do as JSON")
    .action(
      action(() => {
        print(JSON.stringify(ownFeatures(), null, 2));
        return 0;
      }),
    );
}

/** This runtime's features, as the specification has them (features.md). */
export const ownFeatures = () => features(FACTS);

/** What the code has, whatever this host offers: the command "tells what the runtime implements" (features.md). */
const FACTS = {
  version: VERSION,
  seccompArchs: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  seccompFlags: SECCOMP_FLAGS,
  cgroup: { v1: true, v2: true, systemd: true, systemdUser: true, rdma: true },
  apparmor: true,
  selinux: true,
  intelRdt: true,
  netDevices: true,
  checkpoint: false,
};

