/**
 * The filter under which the VMM's program starts. Node's start is our own code and the guest does not run yet, so that there is one thing to
 * forbid: io_uring. What is asked by a ring is not filtered, and a ring that libuv makes at its start would still be there after seal.ts.
 *
 * Loaded as start-compiled.ts has it: after a change run `node vmm/jail/generate.ts`.
 */
import type { Policy } from "seccomp-bpf-ts";

const ENOSYS = 38;

export function startPolicy(): Policy {
  return {
    defaultAction: "allow",
    architectures: ["x86_64"],
    rules: [{ names: ["io_uring_setup", "io_uring_enter", "io_uring_register"], action: "errno", errno: ENOSYS }],
  };
}
