/** With which Node is executed for a VMM: a small process with threads. */

/**
 * V8's: the bundles' caches are made for these, and taken with these alone (scripts/build.ts). Tables are not hashed anew: docs/decisions/0002-cold-start.md.
 *
 * The guest's memory is one buffer that V8 counts as its own; at 64 MiB it would mark its whole heap, at every start. So it is counted against the heap's
 * limit, which is then more than any machine has. What V8 really takes the jail limits (jail/enter.ts).
 */
export const VMM_V8_FLAGS: readonly string[] = ["--max-semi-space-size=1", "--no-rehash-snapshot", "--external-memory-accounted-in-global-limit", "--max-old-space-size=4194304"];

/** No debugger by a signal. */
export const VMM_NODE_FLAGS: readonly string[] = [...VMM_V8_FLAGS, "--disable-sigusr1"];
