/** What a virtio device is to its transport, and the other way round. */
import type { Loop } from "../threads/loop.ts";
import type { GuestMemory } from "../memory.ts";
import { QueueError, type Chain, type SplitQueue } from "./queue.ts";

export interface VirtioDevice {
  /** Device ID (virtio 1.2, 5). */
  readonly id: number;
  readonly name: string;
  /** Largest size of each queue; powers of 2. */
  readonly queueSizes: readonly number[];
  /** Feature bits of the device type, 0 to 23 (2.2). The transport adds those of the rings. */
  readonly features: number;
  /** The configuration space as it is now. */
  readonly config: Uint8Array;
  /** The driver writes its configuration space; without this, writes are lost. */
  writeConfig?(offset: number, content: Uint8Array): void;
  /** The driver is ready (DRIVER_OK). */
  start(host: DeviceHost): void;
  /** The driver has put chains into a queue, or may have. */
  notified(queue: number): void;
  /** Back to the state before `start`; nothing of the guest's may be touched any more. */
  reset(): void;
  /** What the device knows beyond its queues, for a snapshot: JSON. */
  save?(): unknown;
  /** The same, before `start`. */
  restore?(state: unknown): void;
}

/** What a started device has of its machine. */
export interface DeviceHost {
  readonly memory: GuestMemory;
  readonly loop: Loop;
  /** The feature bits 0 to 31 that the driver has taken. */
  readonly driverFeatures: number;
  /** A queue that the driver has set up, or undefined. */
  queue(index: number): SplitQueue | undefined;
  /** Interrupts the driver where it wants that for what was pushed. */
  signalUsed(queue: SplitQueue): void;
  /** Tells the driver to read its configuration again. */
  signalConfig(): void;
  /** The driver has broken the rules: the device stops until it is reset. */
  fail(error: QueueError): void;
}

/**
 * Handles a chain. @returns the bytes written; "taken" where the device keeps it, and pushes it later; undefined to end: then the chain stays in the
 * queue, and the device calls `serve` later.
 */
export type ChainHandler = (chain: Chain) => number | "taken" | undefined;

/** Hands every waiting chain to `handle`; at most one queue's length per turn, so that no guest keeps the device thread for itself. */
export function serve(host: DeviceHost, index: number, handle: ChainHandler): void {
  const queue = host.queue(index);
  if (queue === undefined) return;
  guarded(host, () => {
    queue.disableNotification();
    const stopped = takeChains(queue, handle);
    if (stopped === "limit" || (stopped === "empty" && queue.enableNotification())) serveLater(host, index, queue, handle);
    host.signalUsed(queue);
  });
}

/** Runs what may meet a broken queue. */
export function guarded(host: DeviceHost, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof QueueError)) throw error;
    host.fail(error);
  }
}

function takeChains(queue: SplitQueue, handle: ChainHandler): "empty" | "kept" | "limit" {
  for (let count = 0; count < queue.size; count++) {
    const chain = queue.pop();
    if (chain === undefined) return "empty";
    const written = handle(chain);
    if (written === undefined) {
      queue.unpop();
      return "kept";
    }
    if (written !== "taken") queue.push(chain, written);
  }
  return "limit";
}

/** Queues whose next turn is due already: a guest that keeps its queue full and notifies meanwhile gets one turn, not one more each time. */
const due = new WeakSet<SplitQueue>();

/** Unless the device is reset meanwhile: then the queue is another, or none. */
function serveLater(host: DeviceHost, index: number, queue: SplitQueue, handle: ChainHandler): void {
  if (due.has(queue)) return;
  due.add(queue);
  host.loop.defer(() => {
    due.delete(queue);
    if (host.queue(index) === queue) serve(host, index, handle);
  });
}
