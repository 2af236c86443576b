/** Who answers a call under a filter: nothing is said of the host's kernel. */
import { simulator } from "seccomp-bpf-ts";

/** @returns `sentry`, `refused by the policy`, or nothing. */
export type AnsweredBy = (nr: number, args: readonly bigint[]) => string;

/** @param program as the guest's tasks carry it: struct sock_filter[]. */
export function answersUnder(program: Uint8Array): AnsweredBy {
  const verdict = simulator(program);
  return (nr, args) => {
    const { action } = verdict({ arch: "x86_64", nr, args });
    if (action === "allow") return "";
    return action === "notify" || action === "trace" ? "sentry" : "refused by the policy";
  };
}
