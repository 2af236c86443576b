/**
 * A part of the contract of OCI runtimes (test/kernel/oci) once more, for containers in sandboxes: the life cycle, exec, terminals. What differs is
 * listed in test/support/sandbox-differences.ts, and must differ.
 */
import process from "node:process";

process.env["TSSANDBOX_MODE"] = "sentry";
await import("../oci/lifecycle.test.ts");
await import("../oci/exec.test.ts");
await import("../oci/console.test.ts");
