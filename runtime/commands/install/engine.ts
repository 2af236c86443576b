/** What `install` knows of an engine. */
import type { Mode } from "../../sandbox/mode.ts";

/** A file as it is to be. */
export interface Change {
  readonly path: string;
  /** Undefined: there is none. */
  readonly before: string | undefined;
  /** Undefined: it goes. */
  readonly after: string | undefined;
  /** Of a file that is the administrator's: `make` a copy of what it is, or `drop` that where the file is so again. */
  readonly backup?: "make" | "drop";
}

export interface Engine {
  readonly name: string;
  /** @throws Error in plain words where the engine is not there, or has a configuration that cannot be added to. */
  install(): Change[];
  uninstall(): Change[];
  /** How the engine takes notice; undefined: it reads its configuration at each start of a container. */
  readonly restart: readonly string[] | undefined;
  /** The command that runs `program` in `root`, a directory, by this engine; undefined where no client of it can. */
  runs(root: string, program: string): Run | undefined;
}

export interface Run {
  readonly before?: readonly string[];
  readonly command: readonly string[];
  readonly after?: readonly string[];
}

/** Where links to this package's programs are made: on the PATH that systemd gives to its services. */
export const LINKS = "/usr/local/bin";

/** The names by which engines know us, and the mode that a name asks for (docs/configuration.md). */
export const HANDLERS: Readonly<Record<string, Mode | undefined>> = { tssandbox: undefined, "tssandbox-namespace": "namespace", "tssandbox-vm": "vm" };

/** By which our files and lines are known again. */
export const MARK = "written by tssandbox install; tssandbox uninstall removes it";
