/**
 * What the host says to the agent in a guest, and the agent to the host: one connection for each process, which lives as long as the process.
 *
 *   host: a stand-in (stand-in.ts)                guest: a task of the agent's (task.ts)
 *      | create, adopt, exec ----------------------->| sets the process up
 *      |<----------------------------- created or failed
 *      | start (for create) ------------------------>| lets it run
 *      |<----------------------------- started or failed
 *      | data: its standard input; input-end ------->|
 *      |<------------------ input-taken: room for more
 *      | signal, resize ---------------------------->|
 *      |<---------- data, error data: what it prints |
 *      |<------------------------------------ exited |
 *
 * A question about a container (ask.ts, questions.ts) has a connection of its own: ask, and answer or failed.
 *
 * An end that is gone ends the other: a stand-in that is killed takes its process along, and a guest that dies its stand-ins.
 *
 * Each message is a frame: its length without these 5 bytes (u32, little endian), its kind (u8), and then JSON or data. The host takes the agent
 * for hostile: sizes are bounded, every message is checked against its schema, and nothing that the agent says names anything of the host's.
 */
import * as v from "valibot";
import type { LinuxResources, Process, Spec } from "../spec/config.ts";
import type { GuestInterface } from "./guest-network.ts";
import type { SharedNamespace } from "./guest-spec.ts";

/** Where the agent listens, of the guest's vsock ports. */
export const AGENT_PORT = 1024;

export const FRAME = { json: 0, data: 1, errorData: 2 } as const;
export const FRAME_HEADER = 5;
/** Bytes of one frame's content: a configuration is the longest. */
export const MAX_FRAME = 4 << 20;
/** What the agent may say in one frame. */
export const MAX_AGENT_FRAME = 128 << 10;
export const CHUNK = 64 << 10;
/** Bytes of standard input that the host may send ahead. */
export const INPUT_WINDOW = 64 << 10;

/** What a new process brings along: the guest's clock may have stood still, and a restored guest has the randomness of its original. */
interface Fresh {
  /** Milliseconds since 1970. */
  readonly time: number;
  /** 64 random bytes in base64. */
  readonly seed: string;
}

export type Question =
  | { readonly do: "freeze" | "thaw" }
  /** To every process of the container. */
  | { readonly do: "kill-all"; readonly signal: number }
  /** Answered with `ProcessLine[]`. */
  | { readonly do: "processes" }
  /** Answered with the guest's figures as `events` prints them. */
  | { readonly do: "stats" }
  | { readonly do: "update"; readonly resources: LinuxResources }
  /** Answered with `oom` whenever one of its processes was killed for want of memory, until the container or the connection ends. */
  | { readonly do: "watch-oom" };

export interface NewContainer {
  readonly id: string;
  readonly spec: Spec;
  readonly rootWrites: "memory" | "host";
  /** The tags of virtio-fs devices by the names that the guest mounts them with, below the container's share. */
  readonly loans: Readonly<Record<string, string>>;
  /** Namespaces that it has in common with a container which runs in the guest already. */
  /** Whether it outlives its connection: the machine is its own, and may be restored with another host. */
  readonly stays: boolean;
  readonly joins: readonly { readonly type: SharedNamespace; readonly container: string }[];
  /** The machine's, which its first container brings along. */
  readonly network: readonly GuestInterface[];
}

export type FromHost =
  | ({ readonly kind: "create" } & NewContainer & Fresh)
  | ({ readonly kind: "exec"; readonly id: string; readonly process: Process } & Fresh)
  | { readonly kind: "ask"; readonly id: string; readonly question: Question }
  /** To the task of a container that was restored: the connection is its new host. It stands still until it is started. */
  | ({ readonly kind: "adopt"; readonly id: string; readonly hostname: string; readonly network: readonly GuestInterface[] } & Fresh)
  | { readonly kind: "start" }
  | { readonly kind: "signal"; readonly signal: number }
  | { readonly kind: "resize"; readonly rows: number; readonly columns: number }
  | { readonly kind: "input-end" };

const small = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(255));

const fromAgent = v.variant("kind", [
  v.strictObject({ kind: v.literal("created") }),
  v.strictObject({ kind: v.literal("started") }),
  v.strictObject({ kind: v.literal("oom") }),
  /** JSON. */
  v.strictObject({ kind: v.literal("answer"), text: v.string() }),
  v.strictObject({ kind: v.literal("failed"), message: v.pipe(v.string(), v.maxLength(4096)) }),
  v.strictObject({ kind: v.literal("input-taken"), bytes: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(INPUT_WINDOW)) }),
  v.strictObject({ kind: v.literal("exited"), code: small }),
  v.strictObject({ kind: v.literal("signaled"), signal: v.pipe(small, v.minValue(1), v.maxValue(64)) }),
]);
export type FromAgent = v.InferOutput<typeof fromAgent>;

/** @throws Error where it is no message of an agent's. */
export function parseFromAgent(content: Uint8Array): FromAgent {
  const parsed = v.safeParse(fromAgent, JSON.parse(Buffer.from(content).toString("utf8")));
  if (!parsed.success) throw new Error("the agent in the guest says what is no message of its protocol");
  return parsed.output;
}
