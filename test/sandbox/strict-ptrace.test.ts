/** The same on platform ptrace, where calls wait and descriptors come to be in other ways (decision 0040). */
import process from "node:process";

process.env["TSSANDBOX_PLATFORM"] = "ptrace";
await import("./strict.test.ts");
