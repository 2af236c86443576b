import type { Logger } from "./log.ts";
import type { Mode } from "./sandbox/mode.ts";

/** The global options, decided. */
export interface Globals {
  readonly root: string;
  /** Undefined: the default one. */
  readonly mode: Mode | undefined;
  /** Whether the system calls of sandboxed programs are told of. */
  readonly strace: boolean;
  readonly systemdCgroup: boolean;
  readonly rootless: boolean;
  readonly log: Logger;
}
