/** `exec`: a further process in a container. */
import { inStep } from "../../linux/errors.ts";
import { closingOnFailure } from "../../linux/fd.ts";
import { socketPair } from "../../linux/socket.ts";
import { connectToSentry } from "../sandbox/connect.ts";
import { GUEST_NAMESPACES } from "../sandbox/guest.ts";
import { readSandboxRecord } from "../sandbox/record.ts";
import { openTellingTarget, startStrace } from "../sandbox/strace.ts";
import { wantsStrace } from "../sandbox/strace-wanted.ts";
import { trapFilter } from "../sandbox/trap.ts";
import { setChildSubreaper } from "../../linux/prctl.ts";
import { waitPid } from "../../linux/process.ts";
import { runExec } from "../init/exec.ts";
import { fromWire, receive } from "../init/protocol.ts";
import { runDirectly, runStage } from "../init/stage.ts";
import type { LinuxNamespaceType, Spec } from "../spec/config.ts";
import { execInMachine } from "../vm/exec.ts";
import { handOver } from "./handover.ts";
import { setgroupsDenied } from "./id-maps.ts";
import { joinRdt } from "./intel-rdt.ts";
import { closeProcessLaunch, prepareLaunch } from "./launch.ts";
import { namespacesOf } from "./namespaces.ts";
import type { ExecOptions } from "./options.ts";
import { writePidFile } from "./pid-file.ts";
import { ociState, statusOf } from "./status.ts";
import { ContainerError, type Container } from "./store.ts";
import { cgroupBelow } from "./sub-cgroups.ts";

/** A guest has namespaces that its configuration may not mention (runtime/sandbox/guest.ts). */
function namespaceTypes({ record }: Container, spec: Spec): LinuxNamespaceType[] {
  const configured = (spec.linux?.namespaces ?? []).map(({ type }) => type);
  return record.mode === "sentry" ? [...new Set([...configured, ...GUEST_NAMESPACES])] : configured;
}

/** Starts a process in the container. @returns its pid. @throws ContainerError, or what kept it from running. */
export function execInContainer(container: Container, options: ExecOptions): number {
  return closingOnFailure(() => (container.record.mode === "vm" ? execInMachine : startProcess)(container, options));
}

function startProcess(container: Container, options: ExecOptions): number {
  const status = statusOf(container);
  if (status === "stopped" || status === "creating") throw new ContainerError(`cannot exec in a ${status} container: ${container.record.id}`);
  if (status === "paused" && !options.ignorePaused) throw new ContainerError(`cannot exec in a paused container (use --ignore-paused): ${container.record.id}`);
  const { spec } = options;
  const platform = container.record.mode === "sentry" ? readSandboxRecord(container.directory)?.platform : undefined;
  const strace = wantsStrace(options.strace, container.record.mode, platform, container.record.annotations);
  const [ours, theirs] = socketPair();
  const types = namespaceTypes(container, spec);
  const joining = inStep("cgroup", () => cgroupBelow(container, options.cgroups).openJoin(spec.linux?.resources ?? {}, container.record.pid));
  const launch = prepareLaunch({
    id: container.record.id,
    process: options.process,
    channel: theirs,
    join: inStep("namespaces", () => namespacesOf(container.record.pid, types)),
    create: [],
    console: options.console,
    joining,
    preserveFds: options.preserveFds,
    newKeyring: options.newKeyring,
    denySetgroups: setgroupsDenied(container.record.pid),
    seccomp: spec.linux?.seccomp,
    trap: platform === undefined ? undefined : trapFilter(connectToSentry(container), platform, container.record.policy, strace === "sentry" ? openTellingTarget(options.log) : undefined),
    guest: undefined,
    stateOf: (pid) => ociState(container, "running", pid),
    log: options.log,
  });
  setChildSubreaper(true);
  using _ours = ours;
  using _theirs = { [Symbol.dispose]: () => closeProcessLaunch(launch) };
  using undo = new DisposableStack();
  const bodies = { stage: () => runStage(launch, () => runExec(launch)), init: () => runDirectly(launch, () => runExec(launch)) };
  const pid = handOver(ours, launch, bodies, {
    mapIds: () => undefined,
    fuse: () => undefined,
    mounted: () => undefined,
    born: ({ pid: born, inCgroup }) => inStep("cgroup", () => joining.move(born, inCgroup)),
    cgroup: (born) => {
      const { rdt } = container.record;
      if (rdt !== undefined) inStep("resctrl", () => joinRdt(rdt, [born]));
    },
    hooks: () => undefined,
    ready: (born) => {
      if (options.pidFile !== undefined) writePidFile(options.pidFile, born, undo);
      if (strace === "tracer") inStep("strace", () => startStrace({ directory: container.directory, pid: born, hostProc: launch.hostProc, policy: container.record.policy, log: options.log }));
    },
  });
  // The socket closes with execve; a last step that failed reports itself instead.
  const last = receive(ours);
  if (last?.kind === "failed") {
    waitPid(pid);
    throw fromWire(last.error);
  }
  undo.move();
  return pid;
}
