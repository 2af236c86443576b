/** sync(2). */

/**
 * Writes are in the host's page cache, or in memory that is gone with the sandbox: fsync(2) and syncfs(2) bring a file or a volume to the
 * disk. All of the host's file systems together, which is what sync would wait for natively, are not the guest's to wait for.
 */
export function sync(): number {
  return 0;
}
