/** The policy strict on platform ptrace: the attempts by calls and by /proc. `TSSANDBOX_POLICY=strict` runs them, and all others, by notification. */
import process from "node:process";

process.env["TSSANDBOX_POLICY"] = "strict";
process.env["TSSANDBOX_PLATFORM"] = "ptrace";
await import("./escapes/proc.test.ts");
await import("./escapes/syscalls.test.ts");
