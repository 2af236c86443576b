/** The same on platform ptrace, where it is the sentry that tells of calls. */
import process from "node:process";

process.env["TSSANDBOX_PLATFORM"] = "ptrace";
await import("./strace.test.ts");
