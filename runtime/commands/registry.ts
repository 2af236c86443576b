import type { Command } from "commander";
import type { Globals } from "../globals.ts";

/** What a command needs to take its place in the command line. */
export interface Registry {
  readonly program: Command;
  /** Wraps a command's action: errors become one line, and `code` the exit code. */
  action<A extends unknown[]>(run: (globals: Globals, ...args: A) => number | Promise<number>, failureCode?: number): (...args: A) => Promise<void>;
}
