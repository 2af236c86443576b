import type { LinuxDeviceCgroup } from "../../spec/config-resources.ts";
import { policyFromList, policyFromRules, ruleText, transition, type DevicePolicy } from "../devices.ts";
import { CgroupError, type CgroupDir } from "../files.ts";

/**
 * Source: Documentation/admin-guide/cgroup-v1/devices.rst.
 * @throws CgroupError where the kernel ended with another policy than the one asked for.
 */
export function setDevicesV1(dir: CgroupDir, rules: readonly LinuxDeviceCgroup[]): void {
  const target = policyFromRules(rules);
  for (const { file, value } of transition(policyFromList(dir.read("devices.list")), target)) dir.write(file, value);
  const actual = policyFromList(dir.read("devices.list"));
  if (!isSame(actual, target)) throw new CgroupError("linux.resources.devices", `the kernel did not take the rules as asked (${dir.path}/devices.list)`);
}

/** The kernel does not list the exceptions of an allowing cgroup. */
function isSame(actual: DevicePolicy, target: DevicePolicy): boolean {
  if (actual.allowByDefault || target.allowByDefault) return actual.allowByDefault === target.allowByDefault;
  return actual.exceptions.map(ruleText).join() === target.exceptions.map(ruleText).join();
}
