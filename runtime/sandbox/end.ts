/** Making sure of the end of a sandbox's own processes. */
import { SIGNALS } from "../../linux/abi/signal.ts";
import { kill } from "../../linux/process.ts";
import { waitUntil } from "../../linux/sleep.ts";
import { isAlive } from "../container/process-info.ts";
import { readSandboxRecord } from "./record.ts";

/** Milliseconds for what the guest has written to reach its volumes, and for both to end by themselves. */
const END_MS = 1000;

/**
 * To be asked while the container's state directory is there.
 * @returns what is to be called when the guest's processes have ended: sentry and gofer, which end with them, are killed where they do not. A
 * stopped one, or one that hangs, would stay for ever otherwise, since no cgroup of the container's has them.
 */
export function sandboxEnd(directory: string): () => void {
  const record = readSandboxRecord(directory);
  if (record === undefined) return () => {};
  const rest = () => [record.sentry, record.gofer].filter(({ pid, startTime }) => isAlive(pid, startTime));
  return () => {
    if (waitUntil(END_MS, () => rest().length === 0)) return;
    for (const { pid } of rest()) kill(pid, SIGNALS.SIGKILL);
  };
}
