/** What a gofer can still do once it is in its jail: run in a jailed grandchild, which reports over a pipe. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile } from "seccomp-bpf-ts";
import { enterJail } from "../../../../gofer/jail.ts";
import { goferPolicy } from "../../../../gofer/policy.ts";
import { O_CREAT, O_PATH, O_RDONLY, O_RDWR } from "../../../../linux/abi/fcntl.ts";
import { AT_FDCWD, type Fd } from "../../../../linux/fd.ts";
import { listDirectory, makeNodeAt, open, openAt, pipe, readAll, readLinkAt, statAt, tryOpenAt, writeAll } from "../../../../linux/file.ts";
import { fork } from "../../../../linux/fork.unsafe.ts";
import { CLONE_NEW, unshare } from "../../../../linux/namespace.ts";
import { tryChangeMode, tryChangeOwner } from "../../../../linux/at.ts";
import { tryRead } from "../../../../linux/data.ts";
import { FdLink } from "../../../../linux/fd-link.ts";
import { permanentBlock } from "../../../../linux/memory.unsafe.ts";
import { openFuseDevice } from "../../../../gofer/fuse/open-device.ts";
import { seccompFilters } from "../../../../linux/ptrace.ts";
import { waitPid } from "../../../../linux/process.ts";
import { syscall } from "../../../../linux/syscall.unsafe.ts";
import { errnoName } from "../../../../linux/errors.ts";
import { defineCases } from "../../../support/forked.ts";
import { syscallNumber } from "../../../../policies/seccomp-bpf-ts/src/index.ts";

const JAIL = { descriptors: 256, memory: 1 << 30 };

/** Two lent directories: `rw`, `ro`; beside them a secret. */
function lend(base: string): { rw: Fd; ro: Fd } {
  for (const name of ["rw", "ro"]) mkdirSync(join(base, name));
  for (const path of ["rw/file", "ro/file", "secret"]) writeFileSync(join(base, path), path);
  return { rw: open(join(base, "rw"), O_PATH), ro: open(join(base, "ro"), O_PATH) };
}

/** The value that `act` returns in the jail. `meanwhile` runs outside, while the jailed process waits. */
function inJail(base: string, act: (rw: Fd, ro: Fd) => unknown, meanwhile?: (pid: number) => unknown, before?: (base: string) => void, keep: readonly Fd[] = []): unknown {
  const { rw, ro } = lend(base);
  before?.(base);
  const [result, report] = pipe();
  const [wait, go] = pipe();
  const pid = fork(() => {
    const [insideRw, insideRo] = enterJail({ ...JAIL, roots: [{ fd: rw, readOnly: false }, { fd: ro, readOnly: true }], keep: [report, wait, ...keep], log: 2 });
    if (insideRw === undefined || insideRo === undefined) return 1;
    writeAll(report, JSON.stringify(act(insideRw, insideRo)));
    report.close();
    if (meanwhile !== undefined) readAll(wait);
    return 0;
  });
  report.close();
  wait.close();
  const text = Buffer.from(readAll(result)).toString();
  const outside = meanwhile?.(pid);
  go.close();
  const ended = waitPid(pid)?.status;
  if (ended?.kind !== "exited" || ended.code !== 0) throw new Error(`jailed: ${JSON.stringify(ended)}`);
  const inside = JSON.parse(text) as unknown;
  return meanwhile === undefined ? inside : { inside, outside };
}

const outcome = (result: number) => (result < 0 ? errnoName(-result) : "ok");

/** Opens and closes again. */
function opening(dir: Fd | number, path: string, flags: number, resolve = 0): string {
  const result = tryOpenAt(dir, path, flags, { resolve, mode: (flags & O_CREAT) === 0 ? 0 : 0o600 });
  if (result >= 0) syscall(3, result);
  return outcome(result);
}

/** Every call of the architecture that is not on the list, with arguments that would be harmless if it went through. */
function callsRefused(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, outcome(syscall(syscallNumber("x86_64", name) ?? -1, -1, -1, -1, -1, -1, -1))]));
}

function statusOf(pid: number): Record<string, string> {
  using file = open(`/proc/${pid}/status`, O_RDONLY);
  const lines = Buffer.from(readAll(file)).toString().split("\n").map((line) => line.split(":\t") as [string, string]);
  return Object.fromEntries(lines);
}

function namespacesOf(pid: number | "self"): Record<string, string> {
  return Object.fromEntries(["user", "mnt", "net", "ipc", "uts", "cgroup"].map((kind) => [kind, readLinkAt(AT_FDCWD, `/proc/${pid}/ns/${kind}`)]));
}

defineCases({
  "files": (base = "") =>
    inJail(base, (rw, ro) => ({
      "file of its own": opening(rw, "file", O_RDWR),
      "new file of its own": opening(rw, "new", O_RDWR | O_CREAT),
      "read-only file": opening(ro, "file", O_RDONLY),
      "write to read-only": opening(ro, "file", O_RDWR),
      "new in read-only": opening(ro, "new", O_RDWR | O_CREAT),
      "passwd": opening(AT_FDCWD, "/etc/passwd", O_RDONLY),
      "its parent's secret": opening(rw, "../secret", O_RDONLY),
      "one lent directory from the other": opening(rw, "../ro/file", O_RDONLY),
      "up is itself": statAt(rw).ino === statAt(openAt(rw, "../../..", O_PATH)).ino,
      "list the root": opening(AT_FDCWD, "/", O_RDONLY),
      "proc": opening(AT_FDCWD, "/proc/self/mem", O_RDWR),
      "above the descriptors": opening(AT_FDCWD, "/proc/self/fd/../status", O_RDONLY),
      "new in root": opening(AT_FDCWD, "/new", O_RDWR | O_CREAT),
    })),
  "a device of the host within": (base = "") =>
    inJail(base, (rw) => ({ opened: opening(rw, "zero", O_RDONLY), made: outcome(syscall(259, rw.number, -1, 0o020666, 0x105)) }), undefined, (path) => {
      using outside = open(join(path, "rw"), O_RDONLY);
      makeNodeAt(outside, "zero", 0o020666, 0x105);
    }),
  "the device node": (base = "") => {
    unshare(CLONE_NEW.mnt, "mnt");
    const fuse = openFuseDevice();
    const link = new FdLink().of(fuse.number);
    return inJail(base, () => ({ chmod: outcome(tryChangeMode(link, 0o600)), chown: outcome(tryChangeOwner(fuse, 0, 0)), read: outcome(tryRead(fuse, permanentBlock(8192), 0, 8192)) }), undefined, undefined, [fuse]);
  },
  "refused": (base = "", names = "") => inJail(base, () => callsRefused(names.split(","))),
  "state": (base = "") =>
    inJail(base, () => null, (pid) => {
      const status = statusOf(pid);
      const [mine, its] = [namespacesOf("self"), namespacesOf(pid)];
      return {
        status: Object.fromEntries(["Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Groups"].map((name) => [name, status[name]?.trim()])),
        shared: Object.keys(mine).filter((kind) => mine[kind] === its[kind]),
        descriptors: descriptorsOf(pid),
      };
    }),
  "filter": (base = "") =>
    inJail(base, () => null, (pid) => {
      const filters = seccompFilters(pid).map((program) => Buffer.from(program).toString("base64"));
      return { filters, policy: Buffer.from(compile(goferPolicy())).toString("base64") };
    }),
});

function descriptorsOf(pid: number): string[] {
  using dir = open(`/proc/${pid}/fd`, O_RDONLY);
  return listDirectory(dir).map((name) => readLinkAt(dir, name).replace(/\d+/g, "N")).sort();
}
