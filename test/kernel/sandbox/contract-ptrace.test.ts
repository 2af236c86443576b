/** A part of the contract once more, on platform ptrace: exec, where processes come to be traced. `TSSANDBOX_PLATFORM=ptrace` runs contract.test.ts on it. */
import process from "node:process";

process.env["TSSANDBOX_MODE"] = "sentry";
process.env["TSSANDBOX_PLATFORM"] = "ptrace";
await import("../oci/exec.test.ts");
