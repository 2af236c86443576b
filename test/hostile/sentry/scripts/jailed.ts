/** What a sentry can still do once it is in its jail: run in a jailed process, which reports over a pipe. */
import { O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, O_RDWR, O_WRONLY } from "../../../../linux/abi/fcntl.ts";
import { SIGNALS } from "../../../../linux/abi/signal.ts";
import { becomeUser } from "../../../../linux/credentials.ts";
import { check, errnoName } from "../../../../linux/errors.ts";
import { AT_FDCWD } from "../../../../linux/fd.ts";
import { duplicateOnto, listDirectory, open, pipe, read, readAll, readLinkAt, tryOpenAt, writeAll } from "../../../../linux/file.ts";
import { fork, tryClone } from "../../../../linux/fork.unsafe.ts";
import { nodeResources } from "../../../../linux/inherited.unsafe.ts";
import { permanentBlock } from "../../../../linux/memory.unsafe.ts";
import { CLONE_NEW, setNamespace } from "../../../../linux/namespace.ts";
import { setDumpable } from "../../../../linux/prctl.ts";
import { kill, waitPid } from "../../../../linux/process.ts";
import { readProcess, writeProcess } from "../../../../linux/process-vm.ts";
import { seccompFilters } from "../../../../linux/ptrace.ts";
import { socketPair } from "../../../../linux/socket.ts";
import { syscall } from "../../../../linux/syscall.unsafe.ts";
import { compileSentryFilter } from "../../../../sentry/policy.ts";
import { enterSentryJail, refuseOtherCalls } from "../../../../sentry/jail.ts";
import { syscallNumber } from "../../../../policies/seccomp-bpf-ts/src/index.ts";
import { defineCases } from "../../../support/forked.ts";

/** The namespaces that runtime/sandbox/sandbox.ts gives a sentry. */
const NAMESPACES = CLONE_NEW.pid | CLONE_NEW.mnt | CLONE_NEW.net | CLONE_NEW.ipc | CLONE_NEW.uts;
/** Nobody's, and nothing else runs with it. */
const ID = 77_123_456;

/** What `act` returns in the jail, and what `meanwhile` returns outside while the jailed process waits. @param before the jail's end. */
function inJail(act: () => unknown, meanwhile?: (pid: number) => unknown, before?: () => void): unknown {
  const [result, report] = pipe();
  const [wait, go] = pipe();
  const inherited = nodeResources();
  const pid = check(tryClone({ namespaces: NAMESPACES, cgroup: undefined }, () => {
    closeStreams();
    enterSentryJail({ ids: { uid: ID, gid: ID }, keep: [report, wait], inherited });
    refuseOtherCalls();
    // The neighbour of the case below is there by now.
    read(wait, 1);
    writeAll(report, JSON.stringify(act()));
    report.close();
    read(wait, 1);
    return 0;
  }), "clone3");
  report.close();
  wait.close();
  const outside = meanwhile?.(pid);
  writeAll(go, "1");
  const text = Buffer.from(readAll(result)).toString();
  before?.();
  writeAll(go, "1");
  const ended = waitPid(pid)?.status;
  if (ended?.kind !== "exited" || ended.code !== 0) throw new Error(`jailed: ${JSON.stringify(ended)}, ${text}`);
  return { inside: JSON.parse(text) as unknown, outside };
}

/** As SandboxLog.takeStreams does. */
function closeStreams(): void {
  using nothing = open("/dev/null", O_RDWR);
  for (const fd of [0, 1]) duplicateOnto(nothing, fd);
}

const outcome = (result: number) => (result < 0 ? errnoName(-result) : "ok");

function opening(path: string, flags: number): string {
  const result = tryOpenAt(AT_FDCWD, path, flags, { mode: (flags & O_CREAT) === 0 ? 0 : 0o600 });
  if (result >= 0) syscall(3, result);
  return outcome(result);
}

/** With arguments that would be harmless if it went through. */
const calling = (name: string, ...args: number[]) => outcome(syscall(syscallNumber("x86_64", name) ?? -1, ...(args as [number?])));

/** The procfs is the only directory among the descriptors. */
function procDescriptor(): number {
  for (let fd = 3; fd < 100; fd++) {
    const found = tryOpenAt(fd, "self/stat", O_RDONLY);
    if (found < 0) continue;
    syscall(3, found);
    return fd;
  }
  throw new Error("there is no procfs");
}

/** Enters the pid namespace of `pid` with a child, which waits there. @param prepare runs in it. @returns its pid. */
function neighbourOf(pid: number, prepare: () => void = () => {}): number {
  using namespace = open(`/proc/${pid}/ns/pid`, O_RDONLY);
  using own = open("/proc/self/ns/pid", O_RDONLY);
  setNamespace(namespace, CLONE_NEW.pid, "pid");
  const [ready, done] = pipe();
  const neighbour = fork(() => {
    prepare();
    writeAll(done, "1");
    syscall(34); // pause
    return 0;
  });
  setNamespace(own, CLONE_NEW.pid, "pid");
  done.close();
  read(ready, 1);
  ready.close();
  return neighbour;
}

const block = permanentBlock(64);

function lookAtNeighbour(): Record<string, string> {
  const proc = procDescriptor();
  const files = ["stat", "mem", "environ", "fd", "root", "cwd", "maps"].map((name) => [name, outcome(tryOpenAt(proc, `2/${name}`, O_RDONLY))]);
  return { ...Object.fromEntries(files), "read memory": outcome(readProcess(2, block.address, block, 8)), "write memory": outcome(writeProcess(2, block.address, block, 8)) };
}

function besideNeighbour(prepare?: () => void): unknown {
  let neighbour = 0;
  const begin = (pid: number) => {
    neighbour = neighbourOf(pid, prepare);
    return null;
  };
  // Init of a pid namespace ends after all others in it have been reaped.
  const end = () => {
    kill(neighbour, SIGNALS.SIGKILL);
    waitPid(neighbour);
  };
  return inJail(lookAtNeighbour, begin, end);
}

/** Compiles, collects and deoptimises, and has shapes and numbers change under optimised code. */
function work(): number {
  let total = 0;
  for (let round = 0; round < 30; round++) {
    const add = new Function("a", "b", `return a + b + ${round}`) as (a: unknown, b: unknown) => number;
    for (let i = 0; i < 20_000; i++) total += add(i, 1);
    add("text", {});
    const kept = Array.from({ length: 20_000 }, (_, i) => ({ i, text: `${i}`, more: new Uint8Array(16) }));
    total += kept.length;
    (globalThis as { gc?: (options?: object) => void }).gc?.({ type: round % 2 === 0 ? "major" : "minor" });
  }
  return total;
}

defineCases({
  "files": () =>
    inJail(() => ({
      "list the root": opening("/", O_RDONLY | O_DIRECTORY),
      "above the root": opening("/../../..", O_PATH),
      "new in the root": opening("/new", O_RDWR | O_CREAT),
      "passwd": opening("/etc/passwd", O_RDONLY),
      "proc": opening("/proc/self/stat", O_RDONLY),
      "a device": opening("/dev/null", O_RDONLY),
    })),
  "in the procfs": () =>
    inJail(() => {
      const proc = procDescriptor();
      const opening = (path: string, flags: number) => {
        const result = tryOpenAt(proc, path, flags);
        if (result >= 0) syscall(3, result);
        return outcome(result);
      };
      return {
        "its own stat": opening("self/stat", O_RDONLY),
        "its own memory": opening("self/mem", O_RDWR),
        "above": opening("../../etc/passwd", O_RDONLY),
        "its root, by the magic link": opening("1/root/etc/passwd", O_RDONLY),
        "sysctl": opening("sys/kernel/core_pattern", O_WRONLY),
        "sysrq": opening("sysrq-trigger", O_WRONLY),
        "the host's init, which is not in there": opening("2/stat", O_RDONLY),
      };
    }),
  "a neighbour": () => besideNeighbour(),
  "a neighbour of its own id": (dumpable = "") =>
    besideNeighbour(() => {
      becomeUser({ uid: ID, gid: ID });
      setDumpable(dumpable === "dumpable");
    }),
  "refused": (names = "") => inJail(() => Object.fromEntries(names.split(",").map((name) => [name, calling(name, -1, -1, -1, -1, -1, -1)]))),
  "state": () =>
    inJail(() => null, (pid) => {
      waitForFilter(pid);
      const status = statusOf(pid);
      const names = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp"];
      return {
        status: Object.fromEntries(names.map((name) => [name, status[name]?.trim()])),
        shared: ["mnt", "net", "ipc", "uts", "pid"].filter((kind) => namespaceOf("self", kind) === namespaceOf(pid, kind)),
        descriptors: descriptorsOf(pid),
        limits: limitsOf(pid),
      };
    }),
  "filter": () =>
    inJail(() => null, (pid) => {
      waitForFilter(pid);
      return { filters: seccompFilters(pid).map((program) => Buffer.from(program).toString("base64")), policy: Buffer.from(compileSentryFilter("notify")).toString("base64") };
    }),
  "work": () => inJail(() => (work() > 0 ? "done" : "")),
  "a socket": () => {
    const [one, other] = socketPair();
    other.close();
    one.close();
    return inJail(() => ({ unix: calling("socket", 1, 1, 0), inet: calling("socket", 2, 1, 0), pair: calling("socketpair", 1, 1, 0, block.address) }));
  },
});

function waitForFilter(pid: number): void {
  while (statusOf(pid)["Seccomp"]?.trim() !== "2") syscall(24);
}

function statusOf(pid: number): Record<string, string> {
  using file = open(`/proc/${pid}/status`, O_RDONLY);
  return Object.fromEntries(Buffer.from(readAll(file)).toString().split("\n").map((line) => line.split(":\t") as [string, string]));
}

function namespaceOf(pid: number | "self", kind: string): string {
  return readLinkAt(AT_FDCWD, `/proc/${pid}/ns/${kind}`);
}

function descriptorsOf(pid: number): string[] {
  using dir = open(`/proc/${pid}/fd`, O_RDONLY);
  return listDirectory(dir).map((name) => readLinkAt(dir, name).replace(/\d+/g, "N")).sort();
}

function limitsOf(pid: number): Record<string, string> {
  using file = open(`/proc/${pid}/limits`, O_RDONLY);
  const lines = Buffer.from(readAll(file)).toString().split("\n").slice(1, -1);
  return Object.fromEntries(lines.map((line) => [line.slice(0, 26).trim(), line.slice(26, 68).trim().replace(/\s+/g, " ")]));
}
