/** The container's first process, from its birth in new namespaces to the execve of the program. */
import { CLONE_NEW, setDomainname, setHostname, unshare } from "../../linux/namespace.ts";
import { inStep } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { setLinkUp } from "../../linux/netlink/link.ts";
import { openRoute } from "../../linux/netlink/route-socket.ts";
import { exitNow, getPid, newSession, setUmask } from "../../linux/process.ts";
import { runHooks } from "../hooks.ts";
import { applyMemoryPolicy, applyPersonality, newSessionKeyring } from "./attributes.ts";
import { joinCgroup } from "./cgroup.ts";
import { bindConsole, takeTerminal } from "./console.ts";
import { makeDevices } from "./devices.ts";
import { prepareProgram } from "./finish.ts";
import { makeDirectoryInRoot } from "./in-root.ts";
import { coverSystem } from "./guest-system.ts";
import type { ContainerLaunch } from "./launch.ts";
import { makePathsReadonly, maskPaths } from "./masks.ts";
import { mountAll } from "./mounts.ts";
import { rendezvous, send, toWire } from "./protocol.ts";
import { enterRoot, finishRoot, prepareRoot } from "./rootfs.ts";
import type { Setup } from "./setup.ts";
import { awaitStart } from "./start.ts";
import { setSysctls } from "./sysctl.ts";
import { dropCapabilities } from "./identity.ts";

/**
 * Preconditions: a forked child in all namespaces but the cgroup one, root in its user namespace.
 * @throws what the stage reports to the runtime.
 */
export function runInit(launch: ContainerLaunch): never {
  setUp(launch);
  if (launch.spec.process === undefined) return waitWithoutProcess(launch);
  const program = prepareProgram(launch);
  launch.embedded?.prepared();
  rendezvous(launch.channel, { kind: "ready" });
  launch.channel.close();
  return startOnRequest(launch, program);
}

/** All but the process itself: who it is, what it inherits, the program. */
export function setUp(launch: ContainerLaunch): void {
  const { spec } = launch;
  inStep("session", newSession);
  // Modes are what the configuration says, whatever the caller's mask.
  setUmask(0);
  if (launch.newKeyring) inStep("keyring", () => newSessionKeyring(launch.id));
  if (launch.create.includes("net")) inStep("network", raiseLoopback);
  if (spec.hostname) inStep("hostname", () => setHostname(spec.hostname ?? ""));
  if (spec.domainname) inStep("domainname", () => setDomainname(spec.domainname ?? ""));
  inStep("sysctl", () => setSysctls(launch.hostProc, spec.linux?.sysctl ?? {}));
  buildRoot(launch);
  inStep("personality", () => applyPersonality(spec.linux?.personality));
  inStep("memory policy", () => applyMemoryPolicy(spec.linux?.memoryPolicy));
}

export function raiseLoopback(): void {
  using route = openRoute();
  setLinkUp(route, "lo");
}

/** Everything about the root file system. Masks need the host's /dev/null and so come before the switch; read-only comes after it. */
function buildRoot(launch: ContainerLaunch): void {
  const { spec, channel, console: target, process } = launch;
  const setup = inStep("root file system", () => prepareRoot(launch, once(() => enterCgroup(launch))));
  inStep("mounts", () => mountAll(setup));
  if (setup.system !== undefined) inStep("system files", () => coverSystem(setup));
  setup.enterCgroup();
  inStep("devices", () => makeDevices(setup));
  const slave = target === undefined ? undefined : inStep("console", () => takeTerminal(target, process, setup.root));
  if (slave !== undefined) inStep("console", () => bindConsole(setup.root, slave));
  rendezvous(channel, { kind: "hooks" });
  const state = launch.hookState("creating", getPid());
  inStep("createContainer hooks", () => runHooks(spec.hooks?.createContainer, state));
  inStep("read-only paths", () => makePathsReadonly(setup));
  inStep("masked paths", () => maskPaths(setup));
  makeWorkingDirectory(setup);
  inStep("pivot root", () => enterRoot(setup));
  inStep("root file system", () => finishRoot(setup));
}

/** In its own namespace the container's cgroup is the root, so it has to be in it first. */
function enterCgroup(launch: ContainerLaunch): void {
  joinCgroup(launch);
  if (launch.create.includes("cgroup")) inStep("cgroup namespace", () => unshare(CLONE_NEW.cgroup, "cgroup"));
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}

/** As runc does: an image may name a working directory that it does not have. */
function makeWorkingDirectory({ root, launch }: Setup): void {
  inStep("working directory", () => makeDirectoryInRoot(root, launch.process.cwd).close());
}

/** Waits for `start`, runs the hooks that belong before the program, and becomes it. What fails now is told to whoever asked. */
function startOnRequest(launch: ContainerLaunch, program: () => never): never {
  const peer = awaitStart(launch.startSocket, launch.embedded?.runtime);
  return tellingFailure(peer, () => {
    const { process, spec } = launch;
    const state = launch.hookState("created", getPid());
    inStep("startContainer hooks", () => runHooks(spec.hooks?.startContainer, state, () => dropCapabilities(process.capabilities)));
    send(peer, { kind: "executing" });
    // `run` forks: there the program's process tells for itself.
    return launch.embedded === undefined ? program() : launch.embedded.run(() => tellingFailure(peer, program));
  });
}

function tellingFailure(peer: Fd, action: () => never): never {
  try {
    return action();
  } catch (error) {
    send(peer, { kind: "failed", error: toWire(error) });
    return exitNow(1);
  }
}

/** A container without `process` can be created, held and deleted, but not started. */
function waitWithoutProcess(launch: ContainerLaunch): never {
  rendezvous(launch.channel, { kind: "ready" });
  launch.channel.close();
  for (;;) {
    const peer = awaitStart(launch.startSocket);
    send(peer, { kind: "failed", error: { kind: "other", message: "the container has no process to start: config.json had none" } });
    peer.close();
  }
}
