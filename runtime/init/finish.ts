/**
 * The end of every container process's set-up, for init and exec alike: from a process in its namespaces and root to execve. The order is
 * runc's (libcontainer/standard_init_linux.go), but that what would bind our own code waits: limits and filter come with the exec.
 */
import { EINVAL, EPERM, EROFS } from "../../linux/abi/errno.ts";
import { SysError, inStep, isErrno } from "../../linux/errors.ts";
import { createExecStub, prepareExec, type ExecLabels } from "../../linux/exec.unsafe.ts";
import { changeOwner, closeOnExecFrom, currentDirectory, duplicateOnto, isNullDevice, readLinkAt, setCloseOnExec, statAt } from "../../linux/file.ts";
import type { Fd } from "../../linux/fd.ts";
import { setNoNewPrivileges } from "../../linux/prctl.ts";
import { changeDirectory, setUmask } from "../../linux/process.ts";
import { setSeccompFilter } from "../../linux/seccomp.ts";
import { sendMessage, socketPair } from "../../linux/socket.ts";
import { sendGate } from "../../sentry/messages.ts";
import { applyIoPriority, applyResourceLimits, setScheduler } from "./attributes.ts";
import { environment } from "./environment.ts";
import { becomeUser, dropCapabilities } from "./identity.ts";
import { prepareLabels } from "./label.ts";
import type { ProcessLaunch, SeccompLaunch } from "./launch.ts";
import { findProgram } from "./program.ts";

const FIRST_FREE_FD = 3;
const DEFAULT_UMASK = 0o022;

/**
 * Turns this process into the configured user in the configured directory and finds the program.
 * @returns what remains: limits, capabilities, filter, execve. It throws where one of these fails and does not return otherwise.
 */
export function prepareProgram(launch: ProcessLaunch): () => never {
  const { process } = launch;
  const labels = inStep("security label", () => prepareLabels(launch));
  const gate = launch.filters.some((filter) => filter.gate !== undefined) ? reserveGate() : undefined;
  const filter = launch.filters.find(isStubs)?.program;
  const stub = createExecStub({ labels, gate: gate?.number, filter });
  if (process.noNewPrivileges === true || filter !== undefined) setNoNewPrivileges();
  inStep("scheduler", () => setScheduler(process.scheduler));
  inStep("io priority", () => applyIoPriority(process.ioPriority));
  const env = environment(launch);
  const enteredAsRoot = tryEnterDirectory(process.cwd);
  inStep("standard streams", () => giveStreams(process.user.uid));
  inStep("user", () => becomeUser(process, launch.denySetgroups));
  inStep("working directory", () => enterDirectory(process.cwd, enteredAsRoot));
  setUmask(process.user.umask ?? DEFAULT_UMASK);
  const args = process.args ?? [];
  const path = findProgram(args[0] ?? "", env);
  const become = prepareExec(stub, path, args, env);
  keepDescriptors(launch, labels);
  return () => {
    inStep("seccomp", () => loadFilters(launch, true));
    if (gate !== undefined) inStep("gate", () => openGate(launch, gate));
    inStep("resource limits", () => applyResourceLimits(process));
    becomeUnprivileged(launch);
    return become();
  };
}

/**
 * The program may open its standard streams by name (/dev/stdout): they become its user's, but for /dev/null, which is everybody's. Where
 * they are not ours to give, a pipe of another user namespace for example, they stay as they are. Source: runc, fixStdioPermissions.
 */
function giveStreams(uid: number): void {
  for (const fd of [0, 1, 2]) {
    const { uid: owner, gid } = statAt(fd);
    if (isNullDevice(fd) || owner === uid) continue;
    try {
      changeOwner(fd, uid, gid);
    } catch (error) {
      if (!isErrno(error, EINVAL, EPERM, EROFS)) throw error;
    }
  }
}

/** Without no_new_privs a filter needs CAP_SYS_ADMIN, so it comes before the capabilities go, else after. */
function becomeUnprivileged(launch: ProcessLaunch): void {
  const { process } = launch;
  if (process.noNewPrivileges !== true) inStep("seccomp", () => loadFilters(launch, false));
  inStep("capabilities", () => dropCapabilities(process.capabilities));
  if (process.noNewPrivileges === true) inStep("seccomp", () => loadFilters(launch, false));
}

/** Whether the stub loads it. */
const isStubs = ({ gate }: SeccompLaunch): boolean => gate?.loads === true;

function loadFilters({ filters, hostProc }: ProcessLaunch, early: boolean): void {
  for (const { program, flags, listener } of filters.filter((filter) => filter.early === early && !isStubs(filter))) {
    // The pid as the host counts it, which is what the host's procfs calls us.
    const message = listener?.message(Number(readLinkAt(hostProc, "self")));
    const fd = setSeccompFilter(program, flags);
    if (listener !== undefined && message !== undefined) sendMessage(listener.socket, Buffer.from(message), [fd]);
  }
}

/** The stub is made with its number, which what stands there until then only keeps free. */
function reserveGate(): Fd {
  const [kept, other] = socketPair();
  other.close();
  return kept;
}

/** The pair is made by the process itself: the sentry asks the kernel who made it (sentry/platform/ptrace/gate.ts). */
function openGate({ filters }: ProcessLaunch, gate: Fd): void {
  const [ours, theirs] = socketPair();
  for (const { gate: sentry } of filters) if (sentry !== undefined) sendGate(sentry.socket, theirs, sentry.strace);
  duplicateOnto(ours, gate.number);
  setCloseOnExec(gate.number, false);
}

/** Every descriptor but stdio and the preserved ones ends with this image, whoever opened it (CVE-2024-21626); the labels' with the stub. */
function keepDescriptors({ preserveFds }: ProcessLaunch, labels: ExecLabels | undefined): void {
  for (let fd = 0; fd < FIRST_FREE_FD + preserveFds; fd++) setCloseOnExec(fd, false);
  closeOnExecFrom(FIRST_FREE_FD + preserveFds);
  if (labels !== undefined) setCloseOnExec(labels.directory, false);
}

/** A directory that only root may enter, as runc allows, and one that only the user may (on NFS, say): try as both. */
function tryEnterDirectory(path: string): boolean {
  try {
    changeDirectory(path);
    return true;
  } catch {
    return false;
  }
}

function enterDirectory(path: string, entered: boolean): void {
  if (!entered) changeDirectory(path);
  const current = currentDirectory();
  if (!current.startsWith("/")) throw new SysError({ syscall: "chdir", errno: 0, path, hint: `it leads outside of the container's root (${current})` });
}
