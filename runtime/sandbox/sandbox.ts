/**
 * A sandbox: the processes around a container in sentry mode.
 *
 *   runtime --+-- sentry    pid 1 of the outer pid namespace; unprivileged; answers the guest's trapped calls
 *             +-- gofers    in the same; each jailed with some of the directories that are lent to the guest, whose file systems it serves
 *             +-- stage --- init    in a pid namespace inside, in a user namespace that the sentry owns
 *
 * Sentry and gofers stay in the cgroup of whoever called the runtime, an engine's monitor or shim, whose pod pays for them (a RuntimeClass's
 * overhead is for that); the container's limits and statistics are the guest's alone. Inside of a memory limit the kernel would kill them
 * first: what they share with the runtime's heap counts as theirs then.
 */
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
import { listenUnix, socketPair, SOCK_SEQPACKET } from "../../linux/socket.ts";
import { mountFuseNode } from "../../gofer/fuse/open-device.ts";
import { enterSentryJail, refuseOtherCalls } from "../../sentry/jail.ts";
import { Machine } from "../../sentry/machine.ts";
import { sendFd } from "../../sentry/messages.ts";
import { notify } from "../../sentry/platform/notify.ts";
import { Strict } from "../../sentry/strict/strict.ts";
import { serveSandbox } from "../../sentry/sentry.ts";
import type { PolicyName } from "../../policies/syscalls/trapped.ts";
import type { Cgroup } from "../cgroups/index.ts";
import { bornIn } from "../container/handover.ts";
import type { GuestLaunch } from "../init/launch.ts";
import { fromWire, receiveWithFds, rendezvous, reporting, send } from "../init/protocol.ts";
import type { Logger } from "../log.ts";
import type { LinuxIDMapping, Spec } from "../spec/config.ts";
import { complaining } from "./complaining.ts";
import { endSentry, ownChildren } from "./end.ts";
import { openCgroupFiles } from "./cgroup-files.ts";
import type { GuestFiles } from "./files.ts";
import { startGofer } from "./gofer.ts";
import { groupLoans, type GoferGroup } from "./gofer-groups.ts";
import type { SandboxIds } from "./ids.ts";
import { Observation } from "./observation.ts";
import { writeSandboxRecord } from "./record.ts";
import { utsOf } from "./uts.ts";

/** What is settled before anything is made. */
export interface SandboxPlan {
  readonly ids: SandboxIds;
  readonly files: GuestFiles;
  readonly policy: PolicyName;
  /** See `GuestLaunch`. */
  readonly sysctls: Readonly<Record<string, string>>;
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

const SENTRY_NAMESPACES = CLONE_NEW.pid | CLONE_NEW.mnt | CLONE_NEW.net | CLONE_NEW.ipc | CLONE_NEW.uts;

/** The sentry's pid and its pid namespace, and our children from before there was a sandbox. */
interface Birth {
  readonly sentry: number;
  readonly pidNamespace: Fd;
  readonly before: ReadonlySet<number>;
}

/** The runtime's side of a sandbox that is being made. */
export class Sandbox {
  readonly guest: GuestLaunch;
  /** The guest's end of the sentry's channel: init inherits it, and sends its filter's listener through it. */
  readonly channel: Fd;
  readonly #request: SandboxRequest;
  readonly #sentry: number;
  /** See `endSentry`. */
  readonly #before: ReadonlySet<number>;
  readonly #machine: Machine;
  readonly #inherited: NodeResources;
  readonly #groups: readonly GoferGroup[];
  readonly #observation: Observation;
  readonly #devices: Fd[] = [];

  constructor(request: SandboxRequest, { sentry, pidNamespace, before }: Birth, channel: Fd, machine: Machine, inherited: NodeResources, groups: readonly GoferGroup[], observation: Observation) {
    this.#request = request;
    this.#sentry = sentry;
    this.#before = before;
    this.#machine = machine;
    this.#inherited = inherited;
    this.#groups = groups;
    this.#observation = observation;
    this.channel = channel;
    const { ids, files, spec } = request;
    this.guest = {
      ...files,
      sysctls: request.sysctls,
      owner: ids.sentry.uid,
      root: { uid: rootOf(spec.linux?.uidMappings), gid: rootOf(spec.linux?.gidMappings) },
      pidNamespace,
      fuseNode: inStep("fuse", () => mountFuseNode()),
      devices: new Map(),
      mounted: new Map(),
    };
  }

  /** The stage's devices, which come in the order of `guest.fileSystems`. */
  take(devices: readonly Fd[]): void {
    this.#devices.push(...devices);
  }

  /** Starts the gofers. @param connections the kernel's numbers, in the order of `guest.fileSystems`. */
  serve(hostProc: Fd, connections: readonly number[]): void {
    const { files, spec, ids } = this.#request;
    const request = { files, devices: this.#devices, machine: this.#machine, uts: utsOf(spec), sysctls: { ...this.guest.sysctls, ...spec.linux?.sysctl }, inherited: this.#inherited, identity: ids.gofer, observation: this.#observation };
    const gofers = this.#groups.map((serves) => ({ pid: bornIn(this.guest.pidNamespace, hostProc, (sibling) => startGofer(serves, request, sibling)), serves }));
    // A gofer's death must be seen by the kernel, which it is not while anybody else has the devices: init would wait for answers for ever.
    this.#closeDevices();
    for (const { pid } of gofers) {
      using gofer = pidfdOpen(pid);
      sendFd(this.channel, "gofer", gofer);
    }
    writeSandboxRecord(this.#request, { sentry: this.#sentry, gofers, connections });
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
    this.#machine.close();
    this.#observation.log.close();
  }

  /** After a failure: the kernel kills whatever is in the sandbox. */
  end(): void {
    this.letGo();
    endSentry(this.#sentry, this.#before);
  }
}

/** Forks the sentry. @throws SysError or what it reports */
export function startSandbox(request: SandboxRequest): Sandbox {
  const { ids, files, spec, policy, directory, cgroup, log } = request;
  const [theirs, channel] = socketPair();
  using path = open(directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
  using door = listenUnix(`${path.procPath}/sentry.sock`, SOCK_SEQPACKET);
  const uts = utsOf(spec);
  const before = ownChildren();
  const inherited = nodeResources();
  const machine = new Machine(openCgroupFiles(cgroup.paths), allowedCpus(), randomUuid(), firstProcessor());
  const groups = groupLoans(files.loans);
  const observation = new Observation(directory, files.fileSystems, log);
  const body = () => {
    observation.log.takeStreams();
    // By itself, while it may: it is not dumpable later, and an ordinary user may not look into it.
    const pidNamespace = open("/proc/self/ns/pid", fcntl.O_RDONLY);
    const keep = [theirs, door, pidNamespace, ...(ids.lock === undefined ? [] : [ids.lock]), ...machine.descriptors, ...observation.log.descriptors];
    const tasks = enterSentryJail({ ids: ids.sentry, keep, inherited, ...(policy === "strict" && { descriptors: STRICT_DESCRIPTORS }) });
    const strict = policy === "strict" ? new Strict(tasks.proc) : undefined;
    rendezvous(theirs, { kind: "ready" }, [pidNamespace]);
    pidNamespace.close();
    const options = { kernel: { machine, tasks, uts }, platform: strict ?? notify, channel: theirs, door, observer: observation.forSentry(groups), strict };
    const code = complaining("sentry", observation.log, () => {
      refuseOtherCalls(policy);
      serveSandbox(options);
    });
    if (code === 0) observation.sentryDone();
    exitNow(code);
  };
  const sentry = check(tryClone({ namespaces: SENTRY_NAMESPACES, cgroup: undefined }, () => reporting(theirs, body)), "clone3");
  theirs.close();
  try {
    return new Sandbox(request, { sentry, pidNamespace: awaitReady(channel), before }, channel, machine, inherited, groups, observation);
  } catch (error) {
    endSentry(sentry, before);
    throw error;
  }
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
