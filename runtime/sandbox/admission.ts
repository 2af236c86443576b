/** A container's way into a sentry that runs already: what the runtime sends, and what the sentry makes of it. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { Machine, type CgroupFiles, type Chassis } from "../../sentry/machine.ts";
import { sendAdmission, type Admission, type NamedFds } from "../../sentry/messages.ts";
import type { ResidentOptions } from "../../sentry/resident.ts";
import type { Tasks } from "../../sentry/tasks.ts";
import { areaOf, type Calls } from "./calls.ts";
import { SandboxLog } from "./log.ts";
import { observerOf } from "./observation.ts";
import { COUNTERS } from "./record.ts";

/** With how the log's lines are to look. */
interface Entry extends Admission {
  readonly log: SandboxLog["forms"];
}

const LOG = "log ";

/** Beside the files of `CgroupFiles`, by their names, and those of the log. */
interface Sent extends Partial<CgroupFiles> {
  readonly door: Fd;
  readonly counters: Fd;
  /** Locks: of the container's area, and of its range of ids, where that is its own. */
  readonly area: Fd;
  readonly ids: Fd | undefined;
}

export interface AdmissionRequest {
  readonly admission: Admission;
  /** The container's state directory. */
  readonly directory: string;
  readonly machine: Machine;
  readonly log: SandboxLog;
  readonly locks: Pick<Sent, "area" | "ids">;
  readonly door: Fd;
}

/** @param sentry a connection to the sandbox's first container's door. @throws SysError */
export function requestAdmission(sentry: Fd, { admission, directory, machine, log, locks, door }: AdmissionRequest): void {
  using counters = open(`${directory}/${COUNTERS}`, fcntl.O_RDONLY | fcntl.O_NOFOLLOW);
  const sent: Sent = { door, counters, ...locks, ...machine.files };
  const present = Object.entries(sent).filter((entry): entry is [string, Fd] => entry[1] !== undefined);
  const entry: Entry = { ...admission, log: log.forms };
  sendAdmission(sentry, entry, Object.fromEntries([...present, ...log.descriptors.map((fd, i) => [LOG + i, fd] as const)]));
}

/** What the sentry has of its own for all containers. */
export interface Premises {
  readonly chassis: Chassis;
  readonly tasks: Tasks;
  readonly calls: Calls;
}

/** In the sentry. */
export function admit({ chassis, tasks, calls }: Premises, admission: Admission, fds: NamedFds): ResidentOptions {
  const { door, ...held } = fds as NamedFds & Pick<Sent, "door">;
  const { counters, area: _area, ids: _ids, ...rest } = held as NamedFds & Pick<Sent, "counters">;
  const { logs = [], files = [] } = Object.groupBy(Object.entries(rest), ([name]) => (name.startsWith(LOG) ? "logs" : "files"));
  const log = SandboxLog.of(logs.map(([, fd]) => fd), (admission as Entry).log);
  const machine = new Machine(Object.fromEntries(files) as unknown as CgroupFiles, chassis);
  return { kernel: { machine, tasks, uts: admission.uts }, observer: observerOf(admission, counters, areaOf(calls, admission.area), log), door, held: Object.values(held) };
}
