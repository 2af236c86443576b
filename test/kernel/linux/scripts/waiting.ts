import { O_CREAT, O_RDWR } from "../../../../linux/abi/fcntl.ts";
import { POLLHUP, POLLIN, POLLNVAL, POLLOUT } from "../../../../linux/abi/poll.ts";
import { SIGNALS } from "../../../../linux/abi/signal.ts";
import { addEvents, createEventFd, takeEvents } from "../../../../linux/eventfd.ts";
import { lockFile, unlockFile } from "../../../../linux/flock.ts";
import { duplicate, open, pipe, read, writeAll } from "../../../../linux/file.ts";
import { fork } from "../../../../linux/fork.unsafe.ts";
import { awaitExit, pidfdGetFd, reapPidfd } from "../../../../linux/pidfd.ts";
import { poll } from "../../../../linux/poll.ts";
import { exitNow, getPid, kill, pidfdOpen, waitPid } from "../../../../linux/process.ts";
import { setSignalMask } from "../../../../linux/signal.ts";
import { createSignalFd, signalMask, takeSignal } from "../../../../linux/signalfd.ts";
import { defineCases, exitCodeOf, refusal } from "../../../support/forked.ts";

/** A child that lives until its end of the pipe is closed by `release`, then exits with `code`. */
function waitingChild(code: number): { readonly pid: number; readonly release: () => void } {
  const [reader, writer] = pipe();
  const pid = fork(() => {
    writer.close();
    read(reader, 1);
    return code;
  });
  reader.close();
  return { pid, release: () => writer.close() };
}

function elapsed(action: () => unknown): number {
  const start = performance.now();
  action();
  return performance.now() - start;
}

defineCases({
  "poll": () => {
    const [reader, writer] = pipe();
    const requests = [{ fd: reader, events: POLLIN }, { fd: writer, events: POLLOUT }, { fd: 999, events: POLLIN }];
    const empty = poll(requests, 0);
    writeAll(writer, "x");
    const full = poll(requests, Infinity);
    writer.close();
    read(reader, 1);
    const [end] = poll([{ fd: reader, events: POLLIN }], Infinity);
    return { empty, full, expected: { empty: [0, POLLOUT, POLLNVAL], full: [POLLIN, POLLOUT, POLLNVAL] }, end: end === POLLHUP };
  },
  "poll time-out": () => {
    const [reader] = pipe();
    const milliseconds = elapsed(() => poll([{ fd: reader, events: POLLIN }], 50.5));
    return { none: poll([], 0), exact: milliseconds >= 50 && milliseconds < 1000 };
  },
  "pidfd": () => {
    const { pid, release } = waitingChild(7);
    using pidfd = pidfdOpen(pid);
    const early = { ended: awaitExit(pidfd, 0), status: reapPidfd(pidfd) ?? null };
    release();
    const late = { ended: awaitExit(pidfd, Infinity), status: reapPidfd(pidfd) };
    return { early, late, again: reapPidfd(pidfd) ?? null };
  },
  "pidfd signaled": () => {
    const { pid } = waitingChild(0);
    using pidfd = pidfdOpen(pid);
    kill(pid, SIGNALS.SIGKILL);
    return { ended: awaitExit(pidfd, 5000), status: reapPidfd(pidfd) };
  },
  "pidfd of a stranger": () => {
    using pidfd = pidfdOpen(1);
    return { ended: awaitExit(pidfd, 0), status: reapPidfd(pidfd) ?? null };
  },
  "pidfd_getfd": () => {
    const [reader, writer] = pipe();
    const { pid, release } = waitingChild(0);
    using pidfd = pidfdOpen(pid);
    using copy = pidfdGetFd(pidfd, writer.number);
    writeAll(copy, "through the child");
    const text = new TextDecoder().decode(read(reader, 100));
    const missing = refusal(() => pidfdGetFd(pidfd, 999));
    release();
    waitPid(pid);
    return { text, missing, distinct: copy.number !== writer.number };
  },
  "signalfd": () => {
    const mask = signalMask([SIGNALS.SIGTERM, SIGNALS.SIGCHLD]);
    setSignalMask(mask);
    using fd = createSignalFd(mask);
    const none = takeSignal(fd) ?? null;
    const child = fork(() => 9);
    const [ready] = poll([{ fd, events: POLLIN }], 5000);
    const chld = takeSignal(fd);
    waitPid(child);
    kill(getPid(), SIGNALS.SIGTERM);
    const term = takeSignal(fd);
    return {
      none,
      ready: ready === POLLIN,
      chld: { signal: chld?.signal, child: chld?.pid === child, status: chld?.status, code: chld?.code },
      term: { signal: term?.signal, self: term?.pid === getPid(), uid: term?.uid },
      after: takeSignal(fd) ?? null,
    };
  },
  "eventfd": () => {
    using fd = createEventFd(2);
    addEvents(fd, 40n);
    const sum = takeEvents(fd);
    addEvents(fd, 2n ** 64n - 2n);
    return { sum, full: refusal(() => addEvents(fd, 1n)), most: takeEvents(fd), none: takeEvents(fd), idle: poll([{ fd, events: POLLIN }], 0) };
  },
  "flock": (path) => {
    const other = (kind: "shared" | "exclusive") =>
      exitCodeOf(() => (lockFile(open(path ?? "", O_RDWR), kind, false) ? 1 : 0)) === 1;
    const fd = open(path ?? "", O_RDWR | O_CREAT, { mode: 0o600 });
    const results: Record<string, boolean> = { shared: lockFile(fd, "shared", false) };
    results["sharedBesideShared"] = other("shared");
    results["exclusiveBesideShared"] = other("exclusive");
    results["upgraded"] = lockFile(fd, "exclusive", true);
    results["sharedBesideExclusive"] = other("shared");
    results["sameDescription"] = lockFile(duplicate(fd), "exclusive", false);
    unlockFile(fd);
    results["afterUnlock"] = other("exclusive");
    return results;
  },
  "flock waits": (path) => {
    using fd = open(path ?? "", O_RDWR | O_CREAT, { mode: 0o600 });
    const [reader, writer] = pipe();
    const holder = fork(() => {
      const own = open(path ?? "", O_RDWR);
      lockFile(own, "exclusive", true);
      writeAll(writer, "locked");
      poll([], 60);
      return exitNow(0);
    });
    read(reader, 6);
    const refused = lockFile(fd, "exclusive", false);
    const waited = elapsed(() => lockFile(fd, "exclusive", true));
    waitPid(holder);
    return { refused, waited: waited > 20 };
  },
});
