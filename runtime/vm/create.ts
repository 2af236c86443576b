/** `create` in mode vm: a stand-in (stand-in.ts) takes init's place, and boots a machine for the container. */
import { mkdirSync } from "node:fs";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { inStep } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { lockFile } from "../../linux/flock.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { dropInherited, nodeResources, type NodeResources } from "../../linux/inherited.unsafe.ts";
import { poll } from "../../linux/poll.ts";
import { kill, newSession, waitPid } from "../../linux/process.ts";
import { sendMessage, listenUnix, socketPair, SOCK_SEQPACKET } from "../../linux/socket.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { openPty, rawMode, restoreTerminal, saveTerminal, setControllingTerminal } from "../../linux/tty.ts";
import { checkVm, describeReadiness } from "../../vmm/check.ts";
import type { JailFiles } from "../../vmm/jail/enter.ts";
import { createCgroup } from "../cgroups/index.ts";
import type { CreateOptions } from "../container/options.ts";
import { processInfo } from "../container/process-info.ts";
import { writePidFile } from "../container/pid-file.ts";
import { ociState } from "../container/status.ts";
import { Container, type ContainerRecord } from "../container/store.ts";
import { runHooks } from "../hooks.ts";
import type { ConsoleTarget } from "../init/launch.ts";
import { fromWire, PeerGone, receive, rendezvous, reporting, send } from "../init/protocol.ts";
import { rootWritesOf } from "../sandbox/files.ts";
import type { Named } from "../sandbox/group.ts";
import type { Spec } from "../spec/config.ts";
import { connectToAgent, fresh, request } from "./connect.ts";
import { checkVolumes, lend } from "./files.ts";
import { guestIdOf, isOpen, machineDirectory, machineOf } from "./group.ts";
import { guestSpec, joinedNamespaces } from "./guest-spec.ts";
import { bootResources, hostChange, hostResources, type HostedMachine } from "./host-resources.ts";
import { JoinedMachine } from "./join.ts";
import { HostMachine } from "./machine.ts";
import { connectNetwork, inPlaceOf, networkOf, NO_NETWORK, noteCards, type MachineNetwork, type NetworkCard } from "./network.ts";
import { vmmFiles } from "./program-files.ts";
import { fitMachine } from "./resize.ts";
import type { FromHost, NewContainer } from "./protocol.ts";
import { machineSettings, requireHugePages, type MachineSettings } from "./settings.ts";
import { settingsFrom, type Restored } from "./snapshot.ts";
import { endAs, holdSignals, StandIn } from "./stand-in.ts";

/** A guest's kernel boots in less than a second on hardware, and in ten where the hardware is emulated and idle. */
const BOOT_TIMEOUT_MS = 240_000;

/** File systems that a group's further containers can be lent: one or two each. The guest's kernel probes a device for each at boot. */
const PLACES = 16;

export interface MachinePlan {
  readonly guest: Spec;
  /** A machine of its own, or another's: the state directory with its sockets. */
  readonly machine: { readonly kind: "new"; readonly settings: MachineSettings; readonly files: JailFiles; readonly places: number; readonly snapshot: Restored | undefined } | { readonly kind: "joined"; readonly directory: string };
  /** Whose machine it joins. */
  readonly first: Container | undefined;
  readonly stays: boolean;
  readonly joins: NewContainer["joins"];
  /** Path of the network namespace to connect. */
  readonly network: string | undefined;
}

/** Everything that can be refused before anything is made. @throws Error in plain words where this host cannot, ConfigError */
export function planMachine(spec: Spec, named: Named | undefined, { root, id, preserveFds, config, snapshot, network = networkOf(spec) }: CreateOptions): MachinePlan {
  const readiness = checkVm();
  if (readiness.kind !== "ready" && readiness.kind !== "nested") throw new Error(`mode vm: ${describeReadiness(readiness)}`);
  if (preserveFds > 0) throw new Error("--preserve-fds: a descriptor of the host's means nothing in a machine's guest");
  const self = { id, annotations: spec.annotations ?? {} };
  const first = machineOf(named);
  const guest = guestSpec(spec, guestIdOf(self), first !== undefined);
  checkVolumes(spec);
  if (first !== undefined) return { guest, machine: { kind: "joined", directory: first.directory }, first, stays: false, joins: joinsOf(spec, root, first.record.id), network: undefined };
  const settings = machineSettings(spec, config.vm ?? {});
  const restored = snapshot === undefined ? undefined : settingsFrom(snapshot, settings);
  requireHugePages(restored?.settings ?? settings);
  const places = isOpen(self) ? PLACES : 0;
  return { guest, machine: { kind: "new", settings: restored?.settings ?? settings, files: vmmFiles(), places, snapshot: restored?.from }, first, stays: places === 0, joins: [], network };
}

/** A path that names a process of another container's names that container; any other means the first one, which is whose the engine has told it. */
function joinsOf(spec: Spec, root: string, first: string): NewContainer["joins"] {
  const all = Container.list(root);
  return joinedNamespaces(spec).map(({ type, path }) => {
    const pid = Number(/^\/proc\/(\d+)\/ns\/\w+$/.exec(path)?.[1]);
    return { type, container: all.find(({ record }) => record.pid === pid)?.record.id ?? first };
  });
}

/** @param lock of the container, which the stand-in must not keep. */
export function buildMachine(container: Container, spec: Spec, console: ConsoleTarget | undefined, lock: Fd, plan: MachinePlan, options: CreateOptions): void {
  const machine = hostedBy(plan);
  const resources = hostResources(spec.linux?.resources ?? {}, machine);
  const cgroup = inStep("cgroup", () => createCgroup(container.record.cgroup, resources));
  const createdLock = inStep("state directory", () => container.openLock("created"));
  lockFile(createdLock, "exclusive", true);
  using directory = open(container.directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
  const startSocket = inStep("start socket", () => listenUnix(`${directory.procPath}/start.sock`, SOCK_SEQPACKET));
  const [ours, theirs] = socketPair();
  const inherited = nodeResources();
  const pid = fork(() => {
    lock.close();
    ours.close();
    return standIn({ container, spec, console, plan, channel: theirs, start: { listener: startSocket, created: createdLock }, inherited });
  });
  for (const fd of [theirs, startSocket, createdLock]) fd.close();
  console?.socket.close();
  using undo = new DisposableStack();
  using _ours = ours;
  undo.defer(() => {
    kill(pid, SIGNALS.SIGKILL);
    waitPid(pid);
  });
  awaitWord(ours);
  // What it starts is born there, and all of the guest's memory counts there.
  inStep("cgroup", () => {
    cgroup.addProcess(pid);
    cgroup.set(bootResources(resources));
  });
  send(ours, { kind: "go" });
  awaitWord(ours);
  if (resources.cpu !== undefined) inStep("cgroup", () => cgroup.update(hostChange(resources, false)));
  const state = JSON.stringify(ociState(container, "creating", pid));
  inStep("prestart hooks", () => runHooks(spec.hooks?.prestart, state));
  inStep("createRuntime hooks", () => runHooks(spec.hooks?.createRuntime, state));
  inStep("state.json", () => {
    const info = processInfo(pid);
    if (info === undefined) throw new Error("the container's stand-in ended during set-up");
    container.save({ ...container.record, pid, startTime: info.startTime, cgroupPaths: cgroup.paths, createMs: Date.now() - Date.parse(container.record.created), machine });
  });
  if (machine === undefined) inStep("memory", () => fitMachine(container, options.log));
  if (options.pidFile !== undefined) writePidFile(options.pidFile, pid, undo);
  send(ours, { kind: "go" });
  undo.move();
}

function hostedBy({ machine }: MachinePlan): HostedMachine | undefined {
  if (machine.kind === "joined") return undefined;
  const { memoryMegabytes, growthMegabytes, vcpus, hugePages } = machine.settings;
  return { memoryMegabytes, growthMegabytes, grownMegabytes: machine.snapshot?.grownMegabytes ?? 0, vcpus, hugePages, shared: machine.places > 0 };
}

/** That it waits for its cgroup, then that all is made. */
function awaitWord(channel: Fd): void {
  const message = receive(channel);
  if (message?.kind === "failed") throw fromWire(message.error);
  if (message === undefined) throw new Error("the container's stand-in ended during set-up");
}

interface StandInRequest {
  readonly container: Container;
  readonly spec: Spec;
  readonly console: ConsoleTarget | undefined;
  readonly plan: MachinePlan;
  /** To the runtime. */
  readonly channel: Fd;
  readonly start: { readonly listener: Fd; readonly created: Fd };
  readonly inherited: NodeResources;
}

/** The stand-in's process. @returns its exit code. */
function standIn({ container, spec, console, plan, channel, start, inherited }: StandInRequest): number {
  const signals = holdSignals();
  dropInherited([channel, start.listener, start.created, signals, ...(console === undefined ? [] : [console.socket])], inherited);
  let code = 1;
  const reported = reporting(channel, () => {
    rendezvous(channel, { kind: "cgroup" });
    newSession();
    const terminal = console === undefined ? undefined : openTerminal(console);
    const network = inStep("network", () => networkFor(container, plan));
    const machine = enterMachine(container, spec, plan, network.cards, inherited);
    try {
      const alive = () => {
        machine.check();
        // Without the runtime nobody knows of this process.
        if (poll([{ fd: channel, events: 0 }], 0)[0] !== 0) throw new PeerGone("the runtime is gone");
      };
      const agent = inStep("agent", () => connectToAgent(machineDirectory(container), BOOT_TIMEOUT_MS, alive));
      request(agent, introduction(container.record, spec, plan, machine.tags, network.interfaces), alive);
      rendezvous(channel, { kind: "ready" });
      channel.close();
      const ended = new StandIn({ channel: agent, terminal, start }, signals).run();
      machine.end();
      code = endAs(ended);
    } catch (error) {
      machine.end();
      throw error;
    }
  });
  return reported === 0 ? code : reported;
}

function networkFor({ directory }: Container, { machine, network }: MachinePlan): MachineNetwork {
  if (machine.kind === "joined") return NO_NETWORK;
  const made = connectNetwork(network);
  noteCards(directory, made.cards);
  return machine.snapshot === undefined ? made : { ...made, interfaces: inPlaceOf(machine.snapshot.cards, made.interfaces) };
}

function introduction(record: ContainerRecord, spec: Spec, { guest, machine, stays, joins }: MachinePlan, loans: NewContainer["loans"], network: NewContainer["network"]): FromHost {
  const id = guestIdOf(record);
  if (machine.kind === "new" && machine.snapshot !== undefined) return { kind: "adopt", id, hostname: record.id, network, ...fresh() };
  return { kind: "create", id, spec: guest, rootWrites: rootWritesOf(spec), loans, stays, joins, network, ...fresh() };
}

function enterMachine({ directory, record }: Container, spec: Spec, { machine }: MachinePlan, cards: readonly NetworkCard[], resources: NodeResources): HostMachine | JoinedMachine {
  const volumes = `${directory}/volumes`;
  mkdirSync(volumes, { mode: 0o700 });
  const loans = inStep("files", () => lend(spec, record.rootfs, volumes));
  if (machine.kind === "joined") return JoinedMachine.join({ machine: machine.directory, loans, directory, resources });
  return HostMachine.start({ ...machine, snapshot: machine.snapshot?.machine, cards, loans, directory, resources });
}

/** The caller's terminal ends here, and passes everything on: the guest's has the settings. @returns our end. */
export function openTerminal({ socket }: ConsoleTarget): Fd {
  using devices = open("/dev/pts", fcntl.O_PATH | fcntl.O_DIRECTORY);
  const { master, slave } = openPty(devices, "ptmx");
  restoreTerminal(slave, rawMode(saveTerminal(slave)));
  setControllingTerminal(slave);
  sendMessage(socket, Buffer.from("/dev/pts"), [master]);
  master.close();
  socket.close();
  return slave;
}
