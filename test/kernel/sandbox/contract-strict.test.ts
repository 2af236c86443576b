/** A part of the contract once more, under the policy strict: exec, where descriptors, files and users come together. `TSSANDBOX_POLICY=strict` runs contract.test.ts under it. */
import process from "node:process";

process.env["TSSANDBOX_MODE"] = "sentry";
process.env["TSSANDBOX_POLICY"] = "strict";
await import("../oci/exec.test.ts");
