/** The same under the policy strict, where the sentry asks the volumes for its guest. */
import process from "node:process";

process.env["TSSANDBOX_POLICY"] = "strict";
await import("./stall.test.ts");
