import type { LinuxDeviceCgroup } from "../spec/config-resources.ts";
import { CgroupError, type CgroupDir } from "./files.ts";

export function setDevicesV2(_dir: CgroupDir, _rules: readonly LinuxDeviceCgroup[]): void {
  throw new CgroupError("linux.resources.devices", "not yet");
}
