/** What a sandbox's processes tell of themselves: counters and the log, made before they are forked, and each process's part in them. */
import { ftruncateSync } from "node:fs";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { open } from "../../linux/file.ts";
import { mapForever } from "../../linux/kvm-memory.unsafe.ts";
import type { GoferOptions } from "../../gofer/main.ts";
import { counterSize, countersIn, type Counters, type SandboxCounters } from "../../sentry/debug-counters.ts";
import { callName, operationName } from "../../sentry/debug-names.ts";
import type { Observer, WatchedGofer } from "../../sentry/sentry.ts";
import { LOOK_EVERY, Meter, Watchdog, type Watched } from "../../sentry/watchdog.ts";
import type { Logger } from "../log.ts";
import type { GoferGroup } from "./gofer-groups.ts";
import { SandboxLog } from "./log.ts";
import { COUNTERS } from "./record.ts";

export class Observation {
  readonly log: SandboxLog;
  readonly #names: readonly string[];
  readonly #counters: SandboxCounters;

  /** @param directory the container's state directory. @param names of the gofers' connections. @throws SysError */
  constructor(directory: string, names: readonly string[], logger: Logger) {
    this.log = new SandboxLog(directory, logger);
    this.#names = names;
    this.#counters = countersIn(createCounters(directory, names.length), names.length);
  }

  /** @param groups in the order in which the sentry will be told of their gofers. */
  forSentry(groups: readonly GoferGroup[]): Observer {
    const connections = this.#names.map((name) => this.#connection(name));
    const gofers = groups.map((group): WatchedGofer => ({ serves: group.join(", "), isDone: () => this.#connectionsOf(group).every(({ ended }) => ended) }));
    return { meter: new Meter(this.#sentry, this.#warn), watchdog: new Watchdog(connections, this.#warn), gofers };
  }

  /** The one that serves `system` watches the sentry; one is enough. @param names of the connections, in the gofer's order. */
  forGofer(names: readonly string[]): Pick<GoferOptions, "meters" | "woken"> {
    const meters = names.map((name) => new Meter(this.#connection(name), this.#warn));
    if (!names.includes("system")) return { meters };
    const watchdog = new Watchdog([this.#sentry], this.#warn);
    return { meters, woken: { afterMs: LOOK_EVERY, call: (ready) => watchdog.woken(ready) } };
  }

  sentryDone(): void {
    this.#counters.sentry.markEnded();
  }

  goferDone(group: GoferGroup): void {
    for (const connection of this.#connectionsOf(group)) connection.markEnded();
  }

  #connectionsOf(group: GoferGroup): Counters[] {
    return group.map((name) => this.#connection(name).counters);
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
