/** The host's egress rules and a container's own, which may only take away. Decisions 0044, 0045. */
import { EGRESS, parseEgress } from "../network/egress-rules.ts";
import type { Mode } from "../sandbox/mode.ts";
import type { Spec } from "../spec/config.ts";
import { ConfigError } from "../spec/report.ts";
import type { Config } from "./schema.ts";

/**
 * @param composed whether `do` has made the configuration: its own network namespace holds nothing but a loopback, and needs no rules.
 * @throws ConfigError for an annotation that would allow more; Error where the mode cannot keep the rules.
 */
export function withEgress(spec: Spec, { network }: Config, mode: Mode, composed: boolean): Spec {
  const host = network?.egress;
  if (host === undefined) return spec;
  if (composed && spec.linux?.namespaces?.some(({ type, path }) => type === "network" && !path) === true) return spec;
  if (mode !== "sentry") throw new Error(`mode ${mode} cannot keep the egress rules of this host's configuration (network.egress): it takes sentry mode`);
  return { ...spec, annotations: { ...spec.annotations, [EGRESS]: boundedBy(host, spec.annotations?.[EGRESS]) } };
}

/** @returns rules that allow nothing that `host` does not. @throws ConfigError */
export function boundedBy(host: string, asked: string | undefined): string {
  if (asked === undefined) return host;
  const [own, theirs] = [rulesIn(host), rulesIn(asked)];
  const bounds = own.filter(isAllow);
  const wanted = theirs.filter(isAllow);
  const wider = wanted.find((rule) => !bounds.includes(rule) && (liftsDefault(rule) || bounds.some((bound) => bound !== EVERYTHING)));
  if (wider !== undefined) throw new ConfigError("config.json", `annotations["${EGRESS}"]`, `${JSON.stringify(wider)} is none of the rules of this host's configuration (network.egress), which it may only take away from`);
  return [...[...own, ...theirs].filter((rule) => !isAllow(rule)), ...(wanted.length > 0 ? wanted : bounds)].join("; ");
}

const EVERYTHING = "allow *";

const rulesIn = (text: string): string[] => text.split(/[;\n]/).map((rule) => rule.trim().toLowerCase().replaceAll(/\s+/g, " ")).filter((rule) => rule !== "");

const isAllow = (rule: string): boolean => rule.startsWith("allow ");

/** Whether it allows an address that is denied by itself: then it stands before that. What means nothing is refused where rules are read. */
function liftsDefault(rule: string): boolean {
  try {
    return parseEgress(rule).rules[0]?.action === "allow";
  } catch {
    return false;
  }
}
