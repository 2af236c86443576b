import type { Logger } from "./log.ts";
import type { Mode } from "./sandbox/mode.ts";

/** The global options, decided. */
export interface Globals {
  readonly root: string;
  readonly mode: Mode;
  readonly systemdCgroup: boolean;
  readonly rootless: boolean;
  readonly log: Logger;
}
