/**
 * The network namespace of a sentry. Under `balanced` an empty one; under `strict` it holds the guest's sockets, and is where the guest is. One that
 * the guest makes for itself belongs to its user namespace, and the sentry enters it when there is a guest; one that was there before is
 * entered by the runtime, since the sentry has no right over it. Source: network_namespaces(7), setns(2).
 */
import type { Spec } from "../spec/config.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { open } from "../../linux/file.ts";
import { CLONE_NEW, setNamespace } from "../../linux/namespace.ts";
import type { PolicyName } from "../../policies/syscalls/names.ts";
import type { Network } from "../../sentry/strict/guest/namespaces.ts";

export interface SentryNetwork {
  /** For `Strict`. */
  readonly ofGuest: Network;
  /** CLONE_NEW* with which the sentry is born. */
  readonly namespaces: number;
  /** To be called in the sentry's process, while it has the runtime's rights. */
  readonly enter: () => void;
}

export function sentryNetwork(policy: PolicyName, { linux }: Spec): SentryNetwork {
  const network = linux?.namespaces?.find(({ type }) => type === "network");
  const ofGuest = network !== undefined && !network.path ? "guest's own" : "joined";
  return {
    ofGuest,
    namespaces: policy === "strict" && network === undefined ? 0 : CLONE_NEW.net,
    enter: () => {
      if (policy === "strict" && network?.path) join(network.path);
    },
  };
}

function join(path: string): void {
  using namespace = open(path, fcntl.O_RDONLY);
  setNamespace(namespace, CLONE_NEW.net, path);
}
