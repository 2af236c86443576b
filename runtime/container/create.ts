/** `create`: from a bundle to a container whose init waits for `start`. */
import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { effectiveUid } from "../../linux/credentials.ts";
import { inStep, messageOf } from "../../linux/errors.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { open } from "../../linux/file.ts";
import { closingOnFailure, type Fd } from "../../linux/fd.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { lockFile } from "../../linux/flock.ts";
import { setChildSubreaper } from "../../linux/prctl.ts";
import { kill, waitPid } from "../../linux/process.ts";
import { listenUnix, socketPair, SOCK_SEQPACKET } from "../../linux/socket.ts";
import { refuseForbidden } from "../config/annotations.ts";
import { withEgress } from "../config/egress.ts";
import { createCgroup, openCgroup, planCgroup, requireSystemd, type Cgroup, type CgroupPlan, type Joining } from "../cgroups/index.ts";
import { runHooks, runHooksWarning } from "../hooks.ts";
import { runInit } from "../init/init.ts";
import type { CgroupMount, ConsoleTarget, ContainerLaunch } from "../init/launch.ts";
import { runDirectly, runStage } from "../init/stage.ts";
import type { Logger } from "../log.ts";
import type { LinuxIDMapping, Process, Spec } from "../spec/config.ts";
import { validateId } from "../spec/id.ts";
import { isBind, parseMountOptions } from "../spec/mount-parse.ts";
import { OCI_VERSION } from "../spec/names.ts";
import { parseConfig } from "../spec/validate.ts";
import { openBindSources } from "./bind-sources.ts";
import { handOver } from "./handover.ts";
import { deniesSetgroups, setgroupsDenied, writeIdMaps, type IdMaps } from "./id-maps.ts";
import { asGuest, sysctlsOf } from "../sandbox/guest.ts";
import { givePipes } from "../do/streams.ts";
import { planGuestFiles } from "../sandbox/files.ts";
import { endOfGroup, findNamed, joinGroup } from "../sandbox/group.ts";
import { claimIds, type SandboxIds } from "../sandbox/ids.ts";
import { lastWords } from "../sandbox/log.ts";
import { decideMode, type Mode } from "../sandbox/mode.ts";
import { decidePlatform } from "../sandbox/platform.ts";
import { withinMemory } from "../sandbox/memory-mounts.ts";
import { decidePolicy } from "../sandbox/policy.ts";
import { openTellingTarget, startStrace } from "../sandbox/strace.ts";
import { wantsStrace, type StraceBy } from "../sandbox/strace-wanted.ts";
import { startSandbox, type Sandbox, type SandboxPlan } from "../sandbox/sandbox.ts";
import { trapFilter } from "../sandbox/trap.ts";
import { withinUserNamespace } from "../sandbox/within.ts";
import { buildMachine, planMachine } from "../vm/create.ts";
import { planEgress, startEgress, type EgressPlan } from "../network/egress.ts";
import { EGRESS } from "../network/egress-rules.ts";
import { hasRules } from "../network/shared.ts";
import { endEgress } from "../network/end.ts";
import { readText } from "./input.ts";
import { enterRdt, planRdt, removeRdt, type RdtPlan } from "./intel-rdt.ts";
import { closeProcessLaunch, prepareLaunch, refuseWithoutSelinux } from "./launch.ts";
import { labelsOf } from "./labels.ts";
import { planNamespaces } from "./namespaces.ts";
import { moveNetworkDevices } from "./network-devices.ts";
import { processInfo } from "./process-info.ts";
import { ociState } from "./status.ts";
import type { PolicyName } from "../../policies/syscalls/names.ts";
import { Container, type ContainerRecord } from "./store.ts";
import type { CreateOptions } from "./options.ts";
import { writePidFile } from "./pid-file.ts";

/**
 * Creates a container. Whatever fails, nothing is left of it.
 * @returns the container; its init is a child of this process until this process ends.
 * @throws ConfigError, ContainerError, SysError, CgroupError, HookError
 */
export function createContainer(options: CreateOptions): Container {
  return closingOnFailure(() => createOrDestroy(options));
}

function createOrDestroy(options: CreateOptions): Container {
  validateId(options.id);
  Container.refuseTaken(options.root, options.id);
  const { spec: configured, text } = inStep("config.json", () => readBundle(options));
  options.log.about(labelsOf(options.id, configured.annotations ?? {}));
  refuseForbidden(options.config, configured.annotations ?? {});
  const named = inStep("sandbox", () => findNamed(options.root, options.id, configured, options.log));
  const mode = decideMode(options.mode, options.config, configured.annotations ?? {}, options.log, named);
  const policy = decidePolicy(options.policy ?? (mode === "sentry" ? options.config.policy : undefined), configured.annotations ?? {}, mode, named);
  const group = mode === "sentry" && named !== undefined ? inStep("sandbox", () => joinGroup(options.root, named, configured, policy)) : undefined;
  const platform = mode === "sentry" ? decidePlatform(options.platform, group, options.log) : "notify";
  using ids = mode === "sentry" ? inStep("sandbox ids", () => claimIds(group)) : undefined;
  const bounded = withEgress(configured, options.config, mode, options.composed !== undefined);
  const egress = inStep("egress", () => (bounded.annotations?.[EGRESS] === undefined || hasRules(bounded, group?.first) ? undefined : planEgress(bounded, options.id, mode === "sentry")));
  using _egress = egress?.plan;
  const networked = egress?.spec ?? configured;
  const spec = ids === undefined ? configured : asGuest(policy === "strict" ? withinMemory(networked) : networked, ids, group);
  const rootfs = options.composed === undefined ? findRootfs(options.bundle, spec) : Container.directoryOf(options.root, options.id);
  if (ids !== undefined && effectiveUid() === 0) givePipes(hostIdentity(spec));
  using files = ids === undefined ? undefined : inStep("files", () => options.composed?.files ?? planGuestFiles(configured, spec, rootfs, policy));
  const machine = mode === "vm" ? planMachine(spec, named, options) : undefined;
  const console = inStep("console socket", () => options.console(spec.process?.terminal === true));
  if (options.systemdCgroup) requireSystemd();
  const cgroup = inStep("cgroup", () =>
    planCgroup({ cgroupsPath: spec.linux?.cgroupsPath, id: options.id, systemd: options.systemdCgroup, rootless: options.rootless, annotations: spec.annotations ?? {} }),
  );
  refuseWithoutSelinux("linux.mountLabel", spec.linux?.mountLabel);
  const { intelRdt } = spec.linux ?? {};
  const rdt = intelRdt === undefined ? undefined : planRdt(intelRdt, options.id);
  const { container, lock } = inStep("state directory", () => Container.create(options.root, newRecord({ ...options, mode, policy, first: group?.first ?? machine?.first }, spec, rootfs, cgroup, rdt), text));
  // Until this descriptor is closed the container is `creating`; the kernel closes it where we are killed.
  using _lock = lock;
  try {
    if (machine !== undefined) buildMachine(container, spec, console, lock, machine, options);
    else if (ids === undefined || files === undefined) build(container, spec, console, lock, undefined, options);
    else withRights(ids, container, options.log, () => build(container, spec, console, lock, { ids, files, policy, platform, sysctls: sysctlsOf(networked, true), group, egress: egress?.plan }, options));
    return container;
  } catch (cause) {
    // Without a sandbox nothing is loaded for this: descriptors may be what has run out.
    const words = ids === undefined ? undefined : (lastWords(container.directory) ?? (group === undefined ? undefined : endOfGroup(group)));
    const message = words === undefined ? messageOf(cause) : `${messageOf(cause)}; ${words}`;
    const rest = destroy(container, options.log);
    if (rest !== undefined) throw new Error(`${message}; and cleaning up failed: ${rest}; use: delete --force ${options.id}`, { cause });
    throw words === undefined ? cause : new Error(message, { cause });
  }
}

/** Runs `action`, for which an ordinary user lacks the rights, where he has them. */
function withRights({ within }: SandboxIds, container: Container, log: Logger, action: () => void): void {
  if (within === undefined) return action();
  withinUserNamespace(within, log, action);
  container.reload();
}

function readBundle({ bundle, composed, log }: CreateOptions): { spec: Spec; text: string } {
  if (composed !== undefined) return { spec: composed.spec, text: JSON.stringify(composed.spec) };
  const path = resolve(bundle, "config.json");
  if (!existsSync(path)) throw new Error(`config.json: there is none in the bundle ${bundle}; make one with: tssandbox spec --bundle ${bundle}`);
  const text = readText(path, "config.json");
  const spec = log.warned(parseConfig(text, { rootless: effectiveUid() !== 0 }));
  return { spec: withAbsoluteSources(spec, bundle), text };
}

/** A relative source of a bind mount counts from the bundle. Source: runtime-spec config.md#mounts. */
function withAbsoluteSources(spec: Spec, bundle: string): Spec {
  const mounts = (spec.mounts ?? []).map((mount) => (isBind(parseMountOptions(mount.options)) ? { ...mount, source: resolve(bundle, mount.source ?? "") } : mount));
  return { ...spec, mounts };
}

function findRootfs(bundle: string, spec: Spec): string {
  const path = resolve(bundle, spec.root?.path ?? "rootfs");
  if (!existsSync(path)) throw new Error(`config.json: root.path: ${path} does not exist`);
  if (!statSync(path).isDirectory()) throw new Error(`config.json: root.path: ${path} is not a directory`);
  return path;
}

function newRecord({ id, mode, policy, first, bundle, rootless }: CreateOptions & { readonly mode: Mode; readonly policy: PolicyName; readonly first: Container | undefined }, spec: Spec, rootfs: string, cgroup: CgroupPlan, rdt: RdtPlan | undefined): ContainerRecord {
  return {
    ociVersion: OCI_VERSION,
    id,
    mode,
    policy,
    sandbox: first?.record.id,
    pid: 0,
    startTime: "",
    bundle,
    rootfs,
    created: new Date().toISOString(),
    annotations: spec.annotations ?? {},
    ownerId: effectiveUid(),
    rootless,
    cgroup,
    cgroupPaths: cgroup.paths,
    rdt,
    hooks: { poststart: spec.hooks?.poststart, poststop: spec.hooks?.poststop },
    ownPidNamespace: spec.linux?.namespaces?.some(({ type, path }) => type === "pid" && !path) === true,
  };
}

/** The program's user as the host counts. An id that the maps do not have stays out of reach. */
function hostIdentity({ process: { user } = NO_PROCESS, linux }: Spec): Parameters<typeof givePipes>[0] {
  const [uid, gid] = [onHost(user.uid, linux?.uidMappings), onHost(user.gid, linux?.gidMappings)];
  return uid === undefined || gid === undefined ? { rangeStart: undefined, host: { uid: 0, gid: 0 } } : { rangeStart: uid, host: { uid, gid } };
}

function onHost(id: number, map: readonly LinuxIDMapping[] = []): number | undefined {
  const range = map.find(({ containerID, size }) => id >= containerID && id - containerID < size);
  return range === undefined ? undefined : range.hostID + (id - range.containerID);
}

/** A container without `process` gets as far as any other; what it would run is never used. */
const NO_PROCESS: Process = { cwd: "/", user: { uid: 0, gid: 0 } };

function build(container: Container, spec: Spec, console: ConsoleTarget | undefined, lock: Fd, plan: SandboxPlan | undefined, options: CreateOptions): void {
  const resources = spec.linux?.resources ?? {};
  const cgroup = inStep("cgroup", () => createCgroup(container.record.cgroup, resources));
  const strace = wantsStrace(options.strace === true, container.record.mode, plan?.platform, spec.annotations);
  const [ours, theirs] = socketPair();
  const joining = inStep("cgroup", () => cgroup.openJoin(resources));
  setChildSubreaper(true);
  const sandbox = plan === undefined ? undefined : inStep("sentry", () => startSandbox({ ...plan, spec, directory: container.directory, cgroup, log: options.log }));
  using undo = new DisposableStack();
  if (sandbox !== undefined) undo.adopt(sandbox, (made) => made.end());
  const launch = prepareContainerLaunch(container, spec, console, theirs, cgroup, joining, sandbox, strace, options);
  if (sandbox !== undefined && plan?.egress !== undefined) startRules(container, { ...plan, egress: plan.egress }, sandbox, launch.hostProc, options.log);
  const maps = idMaps(spec);
  // The lock is ours alone: where we are killed, the kernel must find no copy of it in a child.
  const unlocked = (body: () => number) => () => {
    lock.close();
    return body();
  };
  const bodies = {
    stage: unlocked(() => runStage(launch, () => runInit(launch), timeOffsets(spec))),
    init: unlocked(() => runDirectly(launch, () => runInit(launch))),
  };
  using _ours = ours;
  using _theirs = { [Symbol.dispose]: () => closeLaunch(launch) };
  handOver(ours, launch, bodies, {
    mapIds: (pid) => inStep("id maps", () => writeIdMaps(pid, maps)),
    fuse: (devices) => sandbox?.take(devices),
    mounted: (connections) => inStep("gofer", () => sandbox?.serve(launch.hostProc, connections)),
    born: ({ pid, inCgroup }) => {
      sandbox?.born(pid);
      inStep("cgroup", () => joining.move(pid, inCgroup));
    },
    cgroup: (pid) => setLimits(pid, spec, cgroup, container.record.rdt),
    hooks: (pid) => {
      const state = JSON.stringify(ociState(container, "creating", pid));
      inStep("prestart hooks", () => runHooks(spec.hooks?.prestart, state));
      inStep("createRuntime hooks", () => runHooks(spec.hooks?.createRuntime, state));
    },
    ready: (pid) => {
      inStep("state.json", () => commit(container, pid, cgroup));
      if (options.pidFile !== undefined) writePidFile(options.pidFile, pid, undo);
      if (strace === "tracer") undo.adopt(inStep("strace", () => startStrace({ directory: container.directory, pid, hostProc: launch.hostProc, policy: container.record.policy, log: options.log })), endChild);
    },
  }, () => (options.spare?.take(launch) === true ? options.spare.pid : undefined));
  sandbox?.letGo();
  undo.move();
}

function startRules({ directory }: Container, { egress, ids }: { egress: EgressPlan; ids: SandboxIds }, { guest }: Sandbox, hostProc: Fd, log: Logger): void {
  inStep("egress", () => startEgress(egress, { directory, pidNamespace: guest.pidNamespace, hostProc, ids: ids.gofer, log }));
}

/** Kills and reaps it. */
function endChild(pid: number): void {
  kill(pid, SIGNALS.SIGKILL);
  waitPid(pid);
}

function idMaps(spec: Spec): IdMaps {
  return { uid: spec.linux?.uidMappings ?? [], gid: spec.linux?.gidMappings ?? [] };
}

/** Closes this process's copies of what was opened for init. */
function closeLaunch(launch: ContainerLaunch): void {
  closeProcessLaunch(launch);
  for (const fd of [launch.startSocket, launch.createdLock, ...launch.bindSources.values()]) fd.close();
}

function setLimits(pid: number, spec: Spec, cgroup: Cgroup, rdt: RdtPlan | undefined): void {
  inStep("cgroup limits", () => {
    cgroup.set(spec.linux?.resources ?? {});
    const owner = spec.linux?.uidMappings?.find(({ containerID }) => containerID === 0)?.hostID;
    if (owner !== undefined && effectiveUid() === 0) cgroup.delegate(owner);
  });
  if (rdt !== undefined) inStep("resctrl", () => enterRdt(rdt, spec.linux?.intelRdt ?? {}, [pid]));
  inStep("network devices", () => moveNetworkDevices(pid, spec.linux?.netDevices ?? {}));
}

function commit(container: Container, pid: number, cgroup: Cgroup): void {
  const info = processInfo(pid);
  if (info === undefined) throw new Error("the container's init ended during set-up");
  container.save({ ...container.record, pid, startTime: info.startTime, cgroupPaths: cgroup.paths, createMs: Date.now() - Date.parse(container.record.created) });
}

function prepareContainerLaunch(container: Container, spec: Spec, console: ConsoleTarget | undefined, channel: Fd, cgroup: Cgroup, joining: Joining, sandbox: Sandbox | undefined, strace: StraceBy | undefined, options: CreateOptions): ContainerLaunch {
  const { create, join } = inStep("namespaces", () => planNamespaces(spec.linux?.namespaces ?? []));
  const createdLock = inStep("state directory", () => container.openLock("created"));
  lockFile(createdLock, "exclusive", true);
  using directory = open(container.directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
  const launch = prepareLaunch({
    id: options.id,
    process: spec.process ?? NO_PROCESS,
    channel,
    join,
    create,
    console,
    joining,
    preserveFds: options.preserveFds,
    newKeyring: options.newKeyring,
    denySetgroups: create.includes("user") ? deniesSetgroups(idMaps(spec)) : setgroupsDenied("self"),
    seccomp: spec.linux?.seccomp,
    trap: sandbox === undefined ? undefined : trapFilter(sandbox.channel, sandbox.platform, container.record.policy, strace === "sentry" ? openTellingTarget(options.log) : undefined),
    guest: sandbox?.guest,
    stateOf: (pid) => ociState(container, "creating", pid),
    log: options.log,
  });
  return {
    ...launch,
    spec,
    rootfs: container.record.rootfs,
    bindSources: inStep("bind mounts", () => options.composed?.bindSources ?? openBindSources(spec, effectiveUid() !== 0)),
    // Bound by way of the directory's descriptor: the path itself may be longer than a socket address holds.
    startSocket: inStep("start socket", () => listenUnix(`${directory.procPath}/start.sock`, SOCK_SEQPACKET)),
    createdLock,
    cgroups: cgroupMounts(container.record.cgroup, cgroup.paths),
    noPivot: options.noPivot,
    embedded: options.composed?.embedded,
    hookState: (status, pid) => JSON.stringify(ociState(container, status, pid)),
  };
}

/** One entry per v1 hierarchy, its controllers together; or the v2 one. */
function cgroupMounts(plan: CgroupPlan, paths: Readonly<Record<string, string>>): CgroupMount[] {
  const byMount = new Map<string, { controllers: string[]; path: string }>();
  for (const [controller, path] of Object.entries(paths)) {
    const mountPoint = plan.mountPoints[controller];
    if (mountPoint === undefined || (controller === "" && plan.layout !== "v2")) continue;
    const entry = byMount.get(mountPoint);
    if (entry === undefined) byMount.set(mountPoint, { controllers: [controller], path });
    else entry.controllers.push(controller);
  }
  return [...byMount].map(([mountPoint, { controllers, path }]) => ({ mountPoint, path, controllers: controllers.join(",") }));
}

/** The text of /proc/PID/timens_offsets. Source: time_namespaces(7). */
function timeOffsets(spec: Spec): string | undefined {
  const offsets = spec.linux?.timeOffsets;
  if (offsets === undefined) return undefined;
  const lines = (["monotonic", "boottime"] as const).flatMap((clock) => {
    const offset = offsets[clock];
    return offset === undefined ? [] : [`${clock} ${offset.secs ?? 0} ${offset.nanosecs ?? 0}\n`];
  });
  return lines.length === 0 ? undefined : lines.join("");
}

/** Removes what `build` made; init is gone already. @returns why something is left, and with it the state that tells `delete` of it. */
function destroy(container: Container, log: Logger): string | undefined {
  try {
    const cgroup = openCgroup(container.record.cgroup);
    cgroup.kill(SIGNALS.SIGKILL);
    cgroup.destroy();
    if (container.record.rdt !== undefined) removeRdt(container.record.rdt);
    endEgress(container.directory, container.record.id);
    runHooksWarning(container.record.hooks.poststop, JSON.stringify(ociState(container, "stopped", 0)), (message) => log.warn(message));
    container.remove();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
