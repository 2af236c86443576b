import type { LinuxDeviceCgroup } from "../spec/config-resources.ts";
import { ENOENT } from "../../linux/abi/errno.ts";
import { O_DIRECTORY, O_RDONLY } from "../../linux/abi/fcntl.ts";
import { attachDeviceProgram, detachDeviceProgram, loadDeviceProgram, openProgram, programName, queryDevicePrograms } from "../../linux/bpf.ts";
import { inStep, isErrno } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { deviceProgram } from "./device-program.ts";
import { policyFromRules } from "./devices.ts";
import type { CgroupDir } from "./files.ts";

/** Tells our program from the service manager's (`sd_devices`), which is left alone: every attached program must allow. */
const name = "tssandbox_dev";

/**
 * Gives a v2 cgroup its device rules. The first program of ours there is replaced in one step, so that at no time
 * more is allowed than by the old rules or the new; others of ours, which an interrupted update has left, go afterwards.
 */
export function setDevicesV2(dir: CgroupDir, rules: readonly LinuxDeviceCgroup[]): void {
  const code = deviceProgram(policyFromRules(rules));
  inStep("cgroup devices", () => {
    using cgroup = open(dir.path, O_RDONLY | O_DIRECTORY);
    using owned = new DisposableStack();
    const [first, ...others] = ourPrograms(cgroup, owned);
    using program = loadDeviceProgram(code, name);
    attachDeviceProgram(cgroup, program, first);
    for (const other of others) detachDeviceProgram(cgroup, other);
  });
}

function ourPrograms(cgroup: Fd, owned: DisposableStack): Fd[] {
  return queryDevicePrograms(cgroup).flatMap((id) => {
    const program = tryOpenProgram(id);
    if (program === undefined) return [];
    owned.use(program);
    return programName(program) === name ? [program] : [];
  });
}

/** undefined where it has gone since it was listed. */
function tryOpenProgram(id: number): Fd | undefined {
  try {
    return openProgram(id);
  } catch (error) {
    if (isErrno(error, ENOENT)) return undefined;
    throw error;
  }
}
