/** What a sandbox's processes tell of themselves: counters and the log, made before they are forked, and each process's part in them. */
import { ftruncateSync } from "node:fs";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { open } from "../../linux/file.ts";
import { mapForever } from "../../linux/kvm-memory.unsafe.ts";
import type { GoferOptions } from "../../gofer/main.ts";
import { counterSize, countersIn, type SandboxCounters } from "../../sentry/debug-counters.ts";
import { callName, operationName } from "../../sentry/debug-names.ts";
import type { Observer } from "../../sentry/sentry.ts";
import { LOOK_EVERY, Meter, Watchdog, type Watched } from "../../sentry/watchdog.ts";
import type { Logger } from "../log.ts";
import { SandboxLog } from "./log.ts";
import { COUNTERS } from "./record.ts";

export class Observation {
  readonly log: SandboxLog;
  readonly #names: readonly string[];
  readonly #counters: SandboxCounters;

  /** @param directory the container's state directory. @param names of the gofer's connections. @throws SysError */
  constructor(directory: string, names: readonly string[], logger: Logger) {
    this.log = new SandboxLog(directory, logger);
    this.#names = names;
    this.#counters = countersIn(createCounters(directory, names.length), names.length);
  }

  forSentry(): Observer {
    const gofer = this.#names.map((name) => this.#connection(name));
    return { meter: new Meter(this.#sentry, this.#warn), watchdog: new Watchdog(gofer, this.#warn), goferDone: () => this.#counters.connections.some(({ ended }) => ended) };
  }

  /** @param names of the connections, in the gofer's order. */
  forGofer(names: readonly string[]): Pick<GoferOptions, "meters" | "woken"> {
    const watchdog = new Watchdog([this.#sentry], this.#warn);
    const meters = names.map((name) => new Meter(this.#connection(name), this.#warn));
    return { meters, woken: { afterMs: LOOK_EVERY, call: (ready) => watchdog.woken(ready) } };
  }

  sentryDone(): void {
    this.#counters.sentry.markEnded();
  }

  goferDone(): void {
    for (const connection of this.#counters.connections) connection.markEnded();
  }

  get #sentry(): Watched {
    return { counters: this.#counters.sentry, describe: (nr, task) => `sentry: ${callName(nr)} of task ${task}` };
  }

  #connection(name: string): Watched {
    const counters = this.#counters.connections[this.#names.indexOf(name)];
    if (counters === undefined) throw new Error(`no connection ${name}`);
    return { counters, describe: (opcode, task) => `gofer: ${operationName(opcode)} in ${name} for task ${task}` };
  }

  readonly #warn = (message: string): void => this.log.warn(message);
}

/** Mapped for the life of this process and of those that it forks; the descriptor is closed. */
function createCounters(directory: string, connections: number) {
  const size = counterSize(connections);
  using file = open(`${directory}/${COUNTERS}`, fcntl.O_RDWR | fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_NOFOLLOW, { mode: 0o600 });
  ftruncateSync(file.number, size);
  return mapForever(file, size);
}
