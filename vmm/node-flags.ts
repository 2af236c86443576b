/** With which Node is executed for a VMM: a small process with threads. */

/** V8's: the bundles' caches are made for these, and taken with these alone (scripts/build.ts). Tables are not hashed anew: docs/decisions/0002-cold-start.md. */
export const VMM_V8_FLAGS: readonly string[] = ["--max-semi-space-size=1", "--no-rehash-snapshot"];

/** No debugger by a signal. */
export const VMM_NODE_FLAGS: readonly string[] = [...VMM_V8_FLAGS, "--disable-sigusr1"];
