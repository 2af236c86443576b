/** What a handler of `strict` is given, and what it answers. */
import type { Listener } from "../../linux/seccomp-notify.ts";
import type { StrictCall } from "../platform/ptrace/strict-call.ts";
import type { Strict } from "./strict.ts";

/** A trapped call, which is valid until its answer: by notification, or by ptrace. */
export type Trapped = Listener | StrictCall;

/** In the place of a result: the call waits (waiting.ts) and will be handled again. */
export const WAITS = -10_001;
/** In the place of a result: the handler has answered. */
export const ANSWERED = -10_002;

/** @returns a value from 0 on, a negative errno, CONTINUE, WAITS or ANSWERED. */
export type Handler = (call: Trapped, strict: Strict) => number;
