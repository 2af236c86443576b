/** What a sandbox's processes tell of themselves: counters and the log, made before they are forked, and each process's part in them. */
import { ftruncateSync } from "node:fs";
import * as fcntl from "../../linux/abi/fcntl.ts";
import type { Fd } from "../../linux/fd.ts";
import { open, readAt } from "../../linux/file.ts";
import { mapForever } from "../../linux/kvm-memory.unsafe.ts";
import type { GoferOptions } from "../../gofer/main.ts";
import { connectionsIn, counterSize, type Counters } from "../../sentry/debug-counters.ts";
import { callName, operationName } from "../../sentry/debug-names.ts";
import type { Admission } from "../../sentry/messages.ts";
import type { Observer } from "../../sentry/resident.ts";
import { LOOK_EVERY, Meter, Watchdog, type Watched } from "../../sentry/watchdog.ts";
import type { GoferGroup } from "./gofer-groups.ts";
import type { SandboxLog } from "./log.ts";
import { COUNTERS } from "./record.ts";

/** Of one container. */
export class Observation {
  readonly log: SandboxLog;
  readonly #names: readonly string[];
  readonly #connections: readonly Counters[];
  readonly #calls: Counters;

  /**
   * @param directory the container's state directory. @param names of the gofers' connections. @param calls what the sentry counts of it.
   * @throws SysError
   */
  constructor(directory: string, names: readonly string[], log: SandboxLog, calls: Counters) {
    this.log = log;
    this.#names = names;
    this.#connections = connectionsIn(createCounters(directory, names.length), names.length);
    this.#calls = calls;
  }

  /** For a sentry that has been forked with this object. @param groups in the order in which it will be told of their gofers. */
  forSentry(groups: readonly GoferGroup[]): Observer {
    return observer({ connections: this.#names, gofers: groups }, this.#connections, this.#calls, this.log, () => {});
  }

  /** The one that serves `system` watches the sentry; one is enough. @param names of the connections, in the gofer's order. */
  forGofer(names: readonly string[]): Pick<GoferOptions, "meters" | "woken"> {
    const meters = names.map((name) => new Meter(watchedConnection(name, this.#countersOf(name)), this.#warn));
    if (!names.includes("system")) return { meters };
    const watchdog = new Watchdog([watchedSentry(this.#calls)], this.#warn);
    return { meters, woken: { afterMs: LOOK_EVERY, call: (ready) => watchdog.woken(ready) } };
  }

  goferDone(group: GoferGroup): void {
    for (const name of group) this.#countersOf(name).markEnded();
  }

  #countersOf(name: string): Counters {
    const counters = this.#connections[this.#names.indexOf(name)];
    if (counters === undefined) throw new Error(`no connection ${name}`);
    return counters;
  }

  readonly #warn = (message: string): void => this.log.warn(message);
}

/** Mapped for the life of this process and of those that it forks; the descriptor is closed. */
function createCounters(directory: string, connections: number): Uint8Array {
  const size = counterSize(connections);
  using file = open(`${directory}/${COUNTERS}`, fcntl.O_RDWR | fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_NOFOLLOW, { mode: 0o600 });
  ftruncateSync(file.number, size);
  return mapForever(file, size).bytes;
}

/**
 * For a sentry that has been sent a container's descriptors: it may map none, so it reads the gofers' counters when it looks.
 * @param calls its own counters of the container.
 */
export function observerOf(admission: Pick<Admission, "connections" | "gofers">, counters: Fd, calls: Counters, log: SandboxLog): Observer {
  const { connections: { length } } = admission;
  const copy = new Uint8Array(counterSize(length));
  calls.clear();
  return observer(admission, connectionsIn(copy, length), calls, log, () => copy.set(readAt(counters, 0, copy.length)));
}

/** @param refresh brings what is counted of the connections up to date. */
function observer({ connections, gofers }: Pick<Admission, "connections" | "gofers">, counters: readonly Counters[], calls: Counters, log: SandboxLog, refresh: () => void): Observer {
  const warn = (message: string) => log.warn(message);
  const watched = connections.map((name, i) => watchedConnection(name, counters[i]!));
  const countersOf = (group: GoferGroup) => counters.filter((_, i) => group.includes(connections[i]!));
  const isDone = (group: GoferGroup) => {
    refresh();
    return countersOf(group).every(({ ended }) => ended);
  };
  return {
    meter: new Meter(watchedSentry(calls), warn),
    watchdog: new Watchdog(watched, warn, refresh),
    gofers: gofers.map((group) => ({ serves: group.join(", "), isDone: () => isDone(group) })),
    complain: (message) => log.error(message),
    done: () => calls.markEnded(),
  };
}

const watchedSentry = (counters: Counters): Watched => ({ counters, describe: (nr, task) => `sentry: ${callName(nr)} of task ${task}` });

const watchedConnection = (name: string, counters: Counters): Watched => ({ counters, describe: (opcode, task) => `gofer: ${operationName(opcode)} in ${name} for task ${task}` });
