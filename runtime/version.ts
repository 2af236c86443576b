import { OCI_VERSION } from "./spec/names.ts";

/** The package's version. The build checks that package.json says the same. */
export const VERSION = "0.1.0";

/** Set by the build: the commit that the bundle was made from. */
declare const TSSANDBOX_COMMIT: string | undefined;
export const COMMIT = typeof TSSANDBOX_COMMIT === "string" ? TSSANDBOX_COMMIT : "unknown";

/** In the lines that engines parse: `NAME version X`, `commit:`, `spec:`. */
export function versionText(): string {
  return `tssandbox version ${VERSION}\ncommit: ${COMMIT}\nspec: ${OCI_VERSION}`;
}
