/** How much of the host's kernel a sandbox's guest may reach. */
import { POLICY_NAMES, type PolicyName } from "../../policies/syscalls/trapped.ts";
import { ConfigError } from "../spec/report.ts";
import type { Mode } from "./mode.ts";

const DEFAULT: PolicyName = "balanced";
const ANNOTATION = "dev.tssandbox.policy";

const isPolicy = (name: string): name is PolicyName => POLICY_NAMES.some((policy) => policy === name);

/**
 * What the command line says, or else the default; by annotation a container may ask for a stricter one, never for less.
 * @throws ConfigError for a policy that does not exist; Error where it was asked for and there is no sandbox.
 */
export function decidePolicy(given: PolicyName | undefined, annotations: Readonly<Record<string, string>>, mode: Mode): PolicyName {
  const asked = annotations[ANNOTATION] ?? DEFAULT;
  if (!isPolicy(asked)) throw new ConfigError("config.json", `annotations["${ANNOTATION}"]`, `must be one of ${POLICY_NAMES.join(", ")}, is ${JSON.stringify(asked)}`);
  const wanted = [given ?? DEFAULT, asked];
  const policy = POLICY_NAMES.findLast((name) => wanted.includes(name)) ?? DEFAULT;
  if (policy !== DEFAULT && mode !== "sentry") throw new Error(`the policy ${policy} needs a sandbox: --mode sentry`);
  return policy;
}
