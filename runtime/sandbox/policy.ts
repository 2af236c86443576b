/** How much of the host's kernel a sandbox's guest may reach. */
import { POLICY_NAMES, type PolicyName } from "../../policies/syscalls/names.ts";
import { ConfigError } from "../spec/report.ts";
import type { Named } from "./group.ts";
import type { Mode } from "./mode.ts";

const DEFAULT: PolicyName = "balanced";
const ANNOTATION = "dev.tssandbox.policy";

const isPolicy = (name: string): name is PolicyName => POLICY_NAMES.some((policy) => policy === name);

/**
 * What the command line says, or else the default; by annotation a container may ask for a stricter one, never for less.
 * @param joined its policy is the container's.
 * @throws ConfigError for a policy that does not exist, or one that is stricter than that of the sandbox which is joined; Error where it was asked for and there is no sandbox.
 */
export function decidePolicy(given: PolicyName | undefined, annotations: Readonly<Record<string, string>>, mode: Mode, joined?: Named): PolicyName {
  const asked = annotations[ANNOTATION] ?? DEFAULT;
  if (!isPolicy(asked)) throw new ConfigError("config.json", `annotations["${ANNOTATION}"]`, `must be one of ${POLICY_NAMES.join(", ")}, is ${JSON.stringify(asked)}`);
  const least = strictest(given ?? DEFAULT, asked);
  const policy = joined === undefined ? least : policyOf(joined, least, asked === least ? `annotations["${ANNOTATION}"]` : joined.annotation);
  if (policy !== DEFAULT && mode !== "sentry") throw new Error(`the policy ${policy} needs a sandbox: --mode sentry`);
  return policy;
}

const strictest = (...policies: PolicyName[]): PolicyName => POLICY_NAMES.findLast((name) => policies.includes(name)) ?? DEFAULT;

/** @param why the field that is to be blamed. */
function policyOf({ first: { record: { id, policy = DEFAULT } } }: Named, least: PolicyName, why: string): PolicyName {
  if (strictest(policy, least) === policy) return policy;
  throw new ConfigError("config.json", why, `the sandbox ${id} has the policy ${policy}, which isolates less than ${least}, that is asked for: all containers of a sandbox have its policy`);
}
