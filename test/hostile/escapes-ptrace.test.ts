/** On platform ptrace: the attempts by calls and by /proc, where a tracer in the sentry could show. `TSSANDBOX_PLATFORM=ptrace` runs all the others. */
import process from "node:process";

process.env["TSSANDBOX_PLATFORM"] = "ptrace";
await import("./escapes/proc.test.ts");
await import("./escapes/syscalls.test.ts");
