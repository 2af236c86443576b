/** The same on platform ptrace, shorter: what differs there is how calls reach the sentry, and how tasks begin and end. */
import process from "node:process";

process.env["TSSANDBOX_PLATFORM"] = "ptrace";
process.env["TSSANDBOX_FUZZ_SECONDS"] ??= "15";
await import("./fuzz.test.ts");
