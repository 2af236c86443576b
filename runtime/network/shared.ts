/** A pod's containers share one network, and so its rules: those of the sandbox's first container. */
import { statSync } from "node:fs";
import type { Container } from "../container/store.ts";
import type { Spec } from "../spec/config.ts";
import { ConfigError } from "../spec/report.ts";
import { EGRESS } from "./egress-rules.ts";

/**
 * @param first of the sandbox that the container joins, if it joins one.
 * @returns whether the container's rules stand already.
 * @throws ConfigError where it asks for others.
 */
export function hasRules({ annotations, linux }: Spec, first: Container | undefined): boolean {
  const asked = annotations?.[EGRESS];
  const there = first?.record.annotations[EGRESS];
  const path = linux?.namespaces?.find(({ type }) => type === "network")?.path;
  if (first === undefined || asked === undefined || there === undefined || !path) return false;
  if (statSync(path).ino !== statSync(`/proc/${first.record.pid}/ns/net`).ino) return false;
  if (asked !== there) throw new ConfigError("config.json", `annotations["${EGRESS}"]`, `the network is that of ${first.record.id}, whose rules are others: ${JSON.stringify(there)}`);
  return true;
}
