import { OCI_VERSION } from "./spec/names.ts";

/** The package's version. The build checks that package.json says the same. */
export const VERSION = "0.1.0";

/** In the lines that engines parse: `NAME version X`, `commit:`, `spec:`. */
export function versionText(): string {
  return `tssandbox version ${VERSION}\nspec: ${OCI_VERSION}`;
}
