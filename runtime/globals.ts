import type { Logger } from "./log.ts";

/** The global options, decided. */
export interface Globals {
  readonly root: string;
  readonly systemdCgroup: boolean;
  readonly rootless: boolean;
  readonly log: Logger;
}
