/** Under the policy strict: the attempts by calls, by /proc and by volumes, and taking all that there is. `TSSANDBOX_POLICY=strict` runs all the others. */
import process from "node:process";

process.env["TSSANDBOX_POLICY"] = "strict";
await import("./escapes/syscalls.test.ts");
await import("./escapes/proc.test.ts");
await import("./escapes/volumes.test.ts");
await import("./escapes/resources.test.ts");
