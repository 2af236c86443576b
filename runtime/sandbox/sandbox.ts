/**
 * A sandbox: the processes around a container in sentry mode, and what the container has to be for them.
 *
 *   runtime --+-- sentry    pid 1 of the outer pid namespace; unprivileged; answers the guest's trapped calls
 *             +-- gofer     in the same; jailed with the directories that are lent to the guest; serves its file systems
 *             +-- stage --- init    in a pid namespace inside, in a user namespace that the sentry owns
 */
import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import { SIGNALS } from "../../linux/abi/signal.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { check } from "../../linux/errors.ts";
import { AT_FDCWD, Fd } from "../../linux/fd.ts";
import { open, tryOpenAt, writeAll } from "../../linux/file.ts";
import { tryClone } from "../../linux/fork.unsafe.ts";
import { nodeResources } from "../../linux/inherited.unsafe.ts";
import { CLONE_NEW } from "../../linux/namespace.ts";
import { kill, waitPid } from "../../linux/process.ts";
import { listenUnix, socketPair, SOCK_SEQPACKET } from "../../linux/socket.ts";
import { enterSentryJail } from "../../sentry/jail.ts";
import { Machine, type CgroupFiles } from "../../sentry/machine.ts";
import { notify } from "../../sentry/platform/notify.ts";
import { serveSandbox } from "../../sentry/sentry.ts";
import type { Cgroup, Joining } from "../cgroups/index.ts";
import { fromWire, receive, rendezvous, reporting, send } from "../init/protocol.ts";
import type { Spec } from "../spec/config.ts";
import type { IdRange } from "./ids.ts";

/** The runtime's side of a sandbox that is being made. */
export interface Sandbox {
  readonly ids: IdRange;
  readonly sentry: number;
  readonly pidNamespace: Fd;
  /** The guest's end of the sentry's channel: init inherits it, and sends its filter's listener through it. */
  readonly channel: Fd;
}

export interface SandboxRequest {
  readonly spec: Spec;
  readonly ids: IdRange;
  /** The container's state directory. */
  readonly directory: string;
  readonly cgroup: Cgroup;
  readonly joining: Joining;
}

const SENTRY_NAMESPACES = CLONE_NEW.pid | CLONE_NEW.mnt | CLONE_NEW.net | CLONE_NEW.ipc | CLONE_NEW.uts;

export function startSandbox({ spec, ids, directory, cgroup, joining }: SandboxRequest): Sandbox {
  const [channel, guestChannel] = socketPair();
  using theirs = channel;
  using path = open(directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
  using door = listenUnix(`${path.procPath}/sentry.sock`, SOCK_SEQPACKET);
  const files = openCgroupFiles(cgroup.paths);
  const inherited = nodeResources();
  const machine = new Machine(files, availableParallelism(), randomUUID());
  const uts = { nodename: spec.hostname ?? "", domainname: spec.domainname ?? "(none)" };
  const body = () => {
    for (const tasks of joining.tasks) writeAll(tasks, "0");
    const keep = [theirs, door, ids.lock, ...Object.values(files).filter((file) => file !== undefined)];
    const tasks = enterSentryJail({ id: ids.sentry, keep, inherited });
    rendezvous(theirs, { kind: "ready" });
    return serveSandbox({ kernel: { machine, tasks, uts }, platform: notify, channel: theirs, door });
  };
  const born = tryClone({ namespaces: SENTRY_NAMESPACES, cgroup: joining.birthplace }, () => reporting(theirs, body));
  const pid = check(born, "clone3");
  for (const file of Object.values(files)) file?.close();
  theirs.close();
  awaitReady(guestChannel);
  return { ids, sentry: pid, pidNamespace: open(`/proc/${pid}/ns/pid`, fcntl.O_RDONLY), channel: guestChannel };
}

function awaitReady(channel: Fd): void {
  const message = receive(channel);
  if (message?.kind === "failed") throw fromWire(message.error);
  if (message === undefined) throw new Error("the sentry ended during set-up");
  send(channel, { kind: "go" });
}

/** After a failure: the kernel kills whatever is in the sandbox. */
export function endSandbox({ sentry, pidNamespace, channel }: Sandbox): void {
  pidNamespace.close();
  channel.close();
  kill(sentry, SIGNALS.SIGKILL);
  waitPid(sentry);
}

function openCgroupFiles(paths: Readonly<Record<string, string>>): CgroupFiles {
  const first = (candidates: readonly (readonly [controller: string, name: string])[]): Fd | undefined => {
    for (const [controller, name] of candidates) {
      const path = paths[controller];
      const fd = path === undefined ? -1 : tryOpenAt(AT_FDCWD, `${path}/${name}`, fcntl.O_RDONLY);
      if (fd >= 0) return new Fd(fd);
    }
    return undefined;
  };
  return {
    memoryLimit: first([["memory", "memory.limit_in_bytes"], ["", "memory.max"]]),
    memoryUsage: first([["memory", "memory.usage_in_bytes"], ["", "memory.current"]]),
    cpuQuota: first([["cpu", "cpu.cfs_quota_us"], ["", "cpu.max"]]),
    cpuPeriod: first([["cpu", "cpu.cfs_period_us"]]),
    tasks: first([["pids", "pids.current"], ["", "pids.current"]]),
  };
}
