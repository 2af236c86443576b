// The same on platform ptrace.
import process from "node:process";

process.env["TSSANDBOX_PLATFORM"] = "ptrace";
await import("./every-syscall-strict.test.ts");
