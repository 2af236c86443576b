/** A trapped call, and what its handler may answer in the place of a result. */
import type { Listener } from "../../linux/seccomp-notify.ts";
import type { StrictCall } from "../platform/ptrace/strict-call.ts";

/** Valid until its answer: by notification, or by ptrace. */
export type Trapped = Listener | StrictCall;

/** In the place of a result: the call waits (objects/waiting.ts) and will be handled again. */
export const WAITS = -10_001;
/** In the place of a result: the handler has answered. */
export const ANSWERED = -10_002;

/** What a call has begun, and goes on with when it is handled again. */
export interface Held {
  /** It will not be: it was interrupted. */
  abandon(): void;
}
