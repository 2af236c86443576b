/** The process that follows a guest's tasks for `--strace` (sentry/strace.ts). */
import { openSync } from "node:fs";
import { check } from "../../linux/errors.ts";
import { Fd, type FdLike } from "../../linux/fd.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { duplicate, duplicateOnto, open, readAll, writeAll } from "../../linux/file.ts";
import { tryClone } from "../../linux/fork.unsafe.ts";
import { nodeResources } from "../../linux/inherited.unsafe.ts";
import { CLONE_NEW } from "../../linux/namespace.ts";
import { exitNow, waitPid } from "../../linux/process.ts";
import { setSeccompFilter } from "../../linux/seccomp.ts";
import { socketPair } from "../../linux/socket.ts";
import { follow } from "../../linux/tracing.ts";
import { compileAllowList } from "../../policies/syscalls/filter.ts";
import { compiledPolicy } from "../../policies/syscalls/compiled.ts";
import { native, type Group } from "../../policies/syscalls/row.ts";
import type { PolicyName } from "../../policies/syscalls/names.ts";
import { enterSentryJail } from "../../sentry/jail.ts";
import { sentryCalls } from "../../sentry/policy.ts";
import { answersUnder } from "../../sentry/strace-answer.ts";
import type { TellingTarget } from "../../sentry/messages.ts";
import type { Sink } from "../../sentry/strace.ts";
import { StraceTracer } from "../../sentry/strace-tracer.ts";
import { bornIn } from "../container/handover.ts";
import { fromWire, receive, rendezvous, reporting, send } from "../init/protocol.ts";
import { logLine, type Logger } from "../log.ts";
import { complaining } from "./complaining.ts";
import { SandboxLog } from "./log.ts";
import { requireSandboxRecord } from "./record.ts";

export interface StraceRequest {
  /** The container's state directory. */
  readonly directory: string;
  /** On the host: a process that has not become the program yet. */
  readonly pid: number;
  readonly hostProc: Fd;
  readonly policy: PolicyName | undefined;
  readonly log: Logger;
}

const NAMESPACES = CLONE_NEW.mnt | CLONE_NEW.net | CLONE_NEW.ipc | CLONE_NEW.uts;

/**
 * Follows the process and all that it starts, until the last has ended. The tracer is a process of the sandbox, and ends with it.
 * Preconditions: the privilege to trace a process that is not dumpable.
 * @returns the tracer's pid. @throws SysError; what the tracer reports
 */
export function startStrace({ directory, pid, hostProc, policy = "balanced", log }: StraceRequest): number {
  const sandbox = requireSandboxRecord(directory);
  const [theirs, ours] = socketPair();
  using _ours = ours;
  using _theirs = theirs;
  using pidNamespace = open(`/proc/${sandbox.sentry.pid}/ns/pid`, fcntl.O_RDONLY);
  const first = pidInside(pid);
  const resources = nodeResources();
  const sink = openSink(log);
  const complaints = SandboxLog.open(directory, log);
  using _log = { [Symbol.dispose]: () => complaints.close() };
  using _sink = { [Symbol.dispose]: () => sink.close() };
  // Before the fork: what is loaded at its first use cannot be loaded in an empty root.
  const [filter, answeredBy] = [compileAllowList([...sentryCalls("notify"), TRACING], "EPERM"), answersUnder(compiledPolicy(policy))];
  const body = () => {
    follow(first);
    giveUpStreams(sink.file);
    const kept: FdLike[] = [theirs, ...complaints.descriptors, ...(sink.file === undefined ? [] : [sink.file])];
    const tasks = enterSentryJail({ ids: { uid: sandbox.ids.sentry, gid: sandbox.ids.sentry }, keep: kept, inherited: resources });
    rendezvous(theirs, { kind: "ready" });
    const strace = new StraceTracer(first, sink, { guestPid: (task) => tasks.guestPid(task), answeredBy });
    const code = complaining("strace", complaints, () => {
      setSeccompFilter(filter, 0);
      strace.run();
    });
    exitNow(code);
  };
  const tracer = check(bornIn(pidNamespace, hostProc, (sibling) => tryClone({ namespaces: NAMESPACES, sibling, cgroup: undefined }, () => reporting(theirs, body))), "clone3");
  theirs.close();
  const message = receive(ours);
  if (message?.kind === "ready") {
    send(ours, { kind: "go" });
    return tracer;
  }
  // Unreaped it would keep the sandbox's pid namespace, and so the sentry, from ending.
  waitPid(tracer);
  throw message?.kind === "failed" ? fromWire(message.error) : new Error("the tracer ended during set-up");
}

const TRACING: Group = { reason: "Following the guest's tasks, over which it has the sentry's right", names: "ptrace wait4", outcome: native };

const STDERR = 2;

interface OwnSink extends Sink {
  /** Undefined for standard error. */
  readonly file: Fd | undefined;
}

/** The runtime's log, where there is one, as lines of level `info`; else standard error. */
function openSink({ destination: { file: path, format } }: Logger): OwnSink {
  if (path === undefined) return { file: undefined, print: (line) => writeAll(STDERR, `${line}\n`), close: () => undefined };
  const file = openLog(path);
  return { file, print: (line) => writeAll(file, `${logLine(format, "info", line)}\n`), close: () => file.close() };
}

const openLog = (path: string): Fd => new Fd(openSync(path, "a", 0o600));

/** The same for the sentry, which on platform ptrace is every task's tracer. To be closed. */
export function openTellingTarget({ destination: { file: path, format } }: Logger): TellingTarget {
  return path === undefined ? { fd: duplicate(STDERR), form: "plain" } : { fd: openLog(path), form: format };
}

function giveUpStreams(file: Fd | undefined): void {
  using nothing = open("/dev/null", fcntl.O_RDWR);
  for (const stream of file === undefined ? [0, 1] : [0, 1, STDERR]) duplicateOnto(nothing, stream);
}

/** In the sandbox's pid namespace, the first below ours. Source: proc_pid_status(5), NSpid. */
function pidInside(pid: number): number {
  using status = open(`/proc/${pid}/status`, fcntl.O_RDONLY);
  return Number(/^NSpid:\t\d+\t(\d+)/m.exec(Buffer.from(readAll(status)).toString("latin1"))?.[1]);
}
