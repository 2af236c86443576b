/**
 * A sandbox: the processes around a container in sentry mode, or around several.
 *
 *   runtime --+-- sentry    pid 1 of the outer pid namespace; unprivileged; answers the guests' trapped calls
 *             +-- gofers    in the same; each jailed with some of the directories that are lent to a guest, whose file systems it serves
 *             +-- stage --- init    in a pid namespace inside, in a user namespace that the sentry owns
 *
 * A container that joins a sandbox (group.ts) brings gofers and init of its own, and is made known to the sentry (admission.ts).
 *
 * Sentry and gofers stay in the cgroup of whoever called the runtime, an engine's monitor or shim, whose pod pays for them (a RuntimeClass's
 * overhead is for that); the container's limits and statistics are the guest's alone. Inside of a memory limit the kernel would kill them
 * first: what they share with the runtime's heap counts as theirs then.
 */
import { basename, dirname } from "node:path";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { check, inStep } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { open, read } from "../../linux/file.ts";
import { tryClone } from "../../linux/fork.unsafe.ts";
import { nodeResources, type NodeResources } from "../../linux/inherited.unsafe.ts";
import { CLONE_NEW } from "../../linux/namespace.ts";
import { exitNow, pidfdOpen } from "../../linux/process.ts";
import { randomUuid } from "../../linux/random.ts";
import { allowedCpus } from "../../linux/sched.ts";
import { now } from "../../linux/sleep.ts";
import { listenUnix, socketPair, SOCK_SEQPACKET } from "../../linux/socket.ts";
import { trimHeap } from "../../linux/syscall.unsafe.ts";
import { hostMemory } from "../../linux/sysinfo.ts";
import { mountFuseNode } from "../../gofer/fuse/open-device.ts";
import { enterSentryJail, refuseOtherCalls } from "../../sentry/jail.ts";
import { Machine, type Chassis } from "../../sentry/machine.ts";
import { sendFd, type TellingTarget } from "../../sentry/messages.ts";
import { Lobby } from "../../sentry/platform/ptrace/lobby.ts";
import { platformStarter } from "../../sentry/platform/start.ts";
import type { PlatformName, PolicyName } from "../../policies/syscalls/names.ts";
import { tracedFilter } from "./trap.ts";
import { StrictSentry } from "../../sentry/strict/sentry.ts";
import { serveSandbox } from "../../sentry/sentry.ts";
import type { Cgroup } from "../cgroups/index.ts";
import { bornIn } from "../container/handover.ts";
import { isAlive } from "../container/process-info.ts";
import type { Container } from "../container/store.ts";
import type { GuestLaunch } from "../init/launch.ts";
import { fromWire, receiveWithFds, rendezvous, reporting, send } from "../init/protocol.ts";
import { logLine, type Logger } from "../log.ts";
import type { EgressPlan } from "../network/egress.ts";
import type { LinuxIDMapping, Spec } from "../spec/config.ts";
import { admit, requestAdmission } from "./admission.ts";
import { areaOf, createCalls, takeArea } from "./calls.ts";
import { complaining } from "./complaining.ts";
import { connectToSentry } from "./connect.ts";
import { endChildren, ownChildren } from "./end.ts";
import { openCgroupFiles } from "./cgroup-files.ts";
import type { GuestFiles } from "./files.ts";
import { startGofer } from "./gofer.ts";
import { groupLoans, type GoferGroup } from "./gofer-groups.ts";
import { enroll, membersOf, requireAlive, type Group } from "./group.ts";
import type { SandboxIds } from "./ids.ts";
import { SandboxLog } from "./log.ts";
import { Observation } from "./observation.ts";
import { ownProcess, readSandboxRecord, requireSandboxRecord, writeSandboxRecord, type OwnProcess } from "./record.ts";
import { sentryNetwork } from "./sentry-network.ts";
import { systemFiles, type SystemFiles } from "./system.ts";
import { utsOf } from "./uts.ts";

/** What is settled before anything is made. */
export interface SandboxPlan {
  readonly ids: SandboxIds;
  readonly files: GuestFiles;
  readonly policy: PolicyName;
  readonly platform: PlatformName;
  /** See `GuestLaunch`. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** The sandbox that the container joins. */
  readonly group: Group | undefined;
  readonly egress: EgressPlan | undefined;
}

export interface SandboxRequest extends SandboxPlan {
  /** As the guest gets it (guest.ts). */
  readonly spec: Spec;
  /** The container's state directory. */
  readonly directory: string;
  readonly cgroup: Cgroup;
  readonly log: Logger;
}

/** Under `strict` it holds two for each open file of the guest's, and one for each task. */
const STRICT_DESCRIPTORS = 65_536;

/** And that of sentry-network.ts. */
const SENTRY_NAMESPACES = CLONE_NEW.pid | CLONE_NEW.mnt | CLONE_NEW.ipc | CLONE_NEW.uts;

/** A sentry that knows of the container. */
interface Made {
  readonly sentry: OwnProcess;
  readonly pidNamespace: Fd;
  /** Of its counters. */
  readonly area: number;
  /** To the sentry. */
  readonly channel: Fd;
  readonly machine: Machine;
  readonly inherited: NodeResources;
  readonly groups: readonly GoferGroup[];
  readonly observation: Observation;
  /** Our children from before (`endChildren`). */
  readonly before: ReadonlySet<number>;
}

/** The runtime's side of a container's sandbox that is being made, or joined. */
export class Sandbox {
  readonly guest: GuestLaunch;
  /** The guest's end of the sentry's channel: init inherits it, and sends its filter's listener through it. */
  readonly channel: Fd;
  readonly #request: SandboxRequest;
  readonly #made: Made;
  readonly #system: SystemFiles;
  readonly #devices: Fd[] = [];

  constructor(request: SandboxRequest, made: Made) {
    this.#request = request;
    this.#made = made;
    this.channel = made.channel;
    const { ids, files, sysctls, spec } = request;
    this.#system = systemFiles(made.machine, utsOf(spec), { ...sysctls, ...spec.linux?.sysctl });
    this.guest = {
      ...files,
      sysctls,
      owner: ids.sentry.uid,
      root: { uid: rootOf(spec.linux?.uidMappings), gid: rootOf(spec.linux?.gidMappings) },
      pidNamespace: made.pidNamespace,
      fuseNode: inStep("fuse", () => mountFuseNode()),
      devices: new Map(),
      mounted: new Map(),
      systemProc: this.#system.procNames,
    };
  }

  get platform(): PlatformName {
    return this.#request.platform;
  }

  /** The stage's devices, which come in the order of `guest.fileSystems`. */
  take(devices: readonly Fd[]): void {
    this.#devices.push(...devices);
  }

  /** @param pid of init, on the host. */
  born(pid: number): void {
    using init = pidfdOpen(this.#request.group?.fellow?.record.pid ?? pid);
    sendFd(this.channel, "init", init);
  }

  /** Starts the gofers. @param connections the kernel's numbers, in the order of `guest.fileSystems`. */
  serve(hostProc: Fd, connections: readonly number[]): void {
    const { files, ids, group } = this.#request;
    const { machine, inherited, observation, groups, sentry, area } = this.#made;
    const request = { files, devices: this.#devices, machine, system: this.#system, inherited, identity: ids.gofer, observation };
    const gofers = groups.map((serves) => ({ ...ownProcess(bornIn(this.guest.pidNamespace, hostProc, (sibling) => startGofer(serves, request, sibling))), serves }));
    // A gofer's death must be seen by the kernel, which it is not while anybody else has the devices: init would wait for answers for ever.
    this.#closeDevices();
    for (const { pid } of gofers) {
      using gofer = pidfdOpen(pid);
      sendFd(this.channel, "gofer", gofer);
    }
    writeSandboxRecord({ ...this.#request, sandbox: group?.first.record.id }, { sentry, area, chassis: machine.chassis, gofers, connections });
  }

  #closeDevices(): void {
    for (const device of this.#devices) device.close();
  }

  /** Closes this process's copies of what the sandbox's processes have. */
  letGo(): void {
    this.channel.close();
    this.guest.pidNamespace.close();
    this.guest.fuseNode.close();
    this.#closeDevices();
    this.#made.machine.close();
    this.#made.observation.log.close();
  }

  /** After a failure: whatever has been made for the container, the sentry too where it is its own. */
  end(): void {
    this.letGo();
    endChildren(this.#made.before);
  }
}

/** Of a sentry that runs already; root may look into it. @throws Error where it has ended. */
function openPidNamespace({ pid, startTime }: OwnProcess): Fd {
  const namespace = open(`/proc/${pid}/ns/pid`, fcntl.O_RDONLY);
  if (!isAlive(pid, startTime)) throw new Error("the sentry has ended");
  return namespace;
}

/** Forks the sentry, or makes the container known to that of the sandbox which it joins. @throws SysError or what the sentry reports */
export function startSandbox(request: SandboxRequest): Sandbox {
  const { group } = request;
  const before = ownChildren();
  const made = group === undefined ? forkSentry(request, before) : joinSentry(request, group, before);
  return new Sandbox(request, made);
}

function forkSentry(request: SandboxRequest, before: ReadonlySet<number>): Made {
  const { ids, files, spec, policy, platform, directory, cgroup, log } = request;
  const [theirs, channel] = socketPair();
  using door = openDoor(directory);
  const uts = utsOf(spec);
  const inherited = nodeResources();
  const machine = new Machine(openCgroupFiles(cgroup.paths), newChassis());
  const groups = groupLoans(files.loans);
  const startPlatform = platformStarter(platform);
  const calls = createCalls(directory);
  const observation = new Observation(directory, files.fileSystems, SandboxLog.open(directory, log), areaOf(calls, 0));
  const network = sentryNetwork(policy, spec);
  // Its part of the program (scripts/parts.ts) is loaded here, where there are files.
  const StrictKernel = policy === "strict" ? StrictSentry : undefined;
  const LobbyOfTraced = policy === "strict" && platform === "ptrace" ? Lobby : undefined;
  const body = () => {
    observation.log.takeStreams();
    inStep("network", network.enter);
    // By itself, while it may: it is not dumpable later, and an ordinary user may not look into it.
    const pidNamespace = open("/proc/self/ns/pid", fcntl.O_RDONLY);
    const held = [...machine.descriptors, ...(ids.lock === undefined ? [] : [ids.lock])];
    const lobby = LobbyOfTraced === undefined ? undefined : inStep("lobby", () => new LobbyOfTraced());
    const keep = [...(lobby?.descriptors ?? []), theirs, door, pidNamespace, ...held, ...observation.log.descriptors];
    const tasks = enterSentryJail({ ids: ids.sentry, keep, inherited, ...(policy === "strict" && { descriptors: STRICT_DESCRIPTORS }) });
    const strict = StrictKernel !== undefined ? new StrictKernel(tasks.proc, network.ofGuest, volumesOf(groups, files)) : undefined;
    rendezvous(theirs, { kind: "ready" }, [pidNamespace]);
    pidNamespace.close();
    const first = { kernel: { machine, tasks, uts }, observer: observation.forSentry(groups), door, held };
    const premises = { chassis: machine.chassis, tasks, calls };
    exitNow(complaining("sentry", observation.log, () => {
      const traced = strict !== undefined && lobby !== undefined ? { kernel: strict, lobby } : undefined;
      const options = { inherited, tasks, warn: (message: string) => observation.log.warn(message), filter: () => tracedFilter(policy), line: lineOf, strict: traced };
      const started = strict !== undefined && traced === undefined ? strict : startPlatform(options);
      refuseOtherCalls(policy, platform);
      serveSandbox({ first, platform: started, channel: theirs, strict, admit: (admission, fds) => admit(premises, admission, fds) });
    }));
  };
  trimHeap();
  const pid = check(tryClone({ namespaces: SENTRY_NAMESPACES | network.namespaces, cgroup: undefined }, () => reporting(theirs, body)), "clone3");
  theirs.close();
  try {
    return { sentry: ownProcess(pid), pidNamespace: awaitReady(channel), area: 0, channel, machine, inherited, groups, observation, before };
  } catch (error) {
    endChildren(before);
    throw error;
  }
}

const lineOf = (form: TellingTarget["form"], text: string) => (form === "plain" ? text : logLine(form, "info", text));

/** Nothing is forked: what fails here leaves nothing behind once the descriptors are closed, as they are where creating fails. */
function joinSentry({ ids, files, spec, directory, cgroup, log }: SandboxRequest, { first, annotation }: Group, before: ReadonlySet<number>): Made {
  const { sentry, chassis } = requireSandboxRecord(first.directory);
  const channel = connectToSentry(first);
  requireAlive(first, annotation);
  const machine = new Machine(openCgroupFiles(cgroup.paths), chassis);
  const groups = groupLoans(files.loans);
  enroll(first, basename(directory));
  const { area, lock, calls } = takeArea(first.directory, directory, areasOf(membersOf(dirname(directory), first)));
  using _lock = lock;
  const observation = new Observation(directory, files.fileSystems, SandboxLog.open(directory, log), areaOf(calls, area));
  using door = openDoor(directory);
  const admission = { area, uts: utsOf(spec), connections: files.fileSystems, gofers: groups };
  requestAdmission(channel, { admission, directory, machine, log: observation.log, locks: { area: lock, ids: ids.lock }, door });
  return { sentry, pidNamespace: openPidNamespace(sentry), area, channel, machine, inherited: nodeResources(), groups, observation, before };
}

const areasOf = (members: readonly Container[]): ReadonlySet<number> => new Set(members.flatMap((member) => readSandboxRecord(member.directory)?.area ?? []));

/** Where they are configured to be, by the gofer that serves them. */
function volumesOf(groups: readonly GoferGroup[], { volumes }: GuestFiles): string[][] {
  const [, ...others] = groups;
  return others.map((names) => [...volumes].filter(([, { name }]) => names.includes(name)).map(([{ destination }]) => destination));
}

function openDoor(directory: string): Fd {
  using path = open(directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
  return listenUnix(`${path.procPath}/sentry.sock`, SOCK_SEQPACKET);
}

function newChassis(): Chassis {
  return { startedMs: now(), bootId: randomUuid(), hostCpus: allowedCpus(), hostMemory: hostMemory(), processor: firstProcessor() };
}

/** @returns the sentry's pid namespace. */
function awaitReady(channel: Fd): Fd {
  const { message, fds: [pidNamespace] } = receiveWithFds(channel) ?? { fds: [] };
  if (message?.kind === "failed") throw fromWire(message.error);
  if (pidNamespace === undefined) throw new Error("the sentry ended during set-up");
  send(channel, { kind: "go" });
  return pidNamespace;
}

function rootOf(map: readonly LinuxIDMapping[] = []): number {
  return map.some(({ containerID }) => containerID === 0) ? 0 : (map[0]?.containerID ?? 0);
}

const PROCESSOR_LIMIT = 4096;

/** The host's first processor as /proc/cpuinfo tells of it: all that the guest is told of any, and all that is read, since reading of many takes long. */
function firstProcessor(): string {
  using file = open("/proc/cpuinfo", fcntl.O_RDONLY);
  return Buffer.from(read(file, PROCESSOR_LIMIT)).toString("latin1").split("\n\n", 1)[0] ?? "";
}
