import { SIGNALS } from "../../../../linux/abi/signal.ts";
import { fork } from "../../../../linux/fork.unsafe.ts";
import { pipe, read, writeAll } from "../../../../linux/file.ts";
import { setNoNewPrivileges } from "../../../../linux/prctl.ts";
import { kill, waitPid } from "../../../../linux/process.ts";
import { seccompFilter, seccompFilterFlags, seccompFilters, stopTask } from "../../../../linux/ptrace.ts";
import { setSeccompFilter } from "../../../../linux/seccomp.ts";
import { setUserId } from "../../../../linux/credentials.ts";
import { defineCases, refusal } from "../../../support/forked.ts";

const SECCOMP_FILTER_FLAG_LOG = 2;
const RETURN = 0x06;
const LOAD_WORD = 0x20;
const JUMP_EQUAL = 0x15;
const ALLOW = 0x7fff0000;
const EPERM_ANSWER = 0x00050001;

/** struct sock_filter[]. Source: Linux include/uapi/linux/filter.h. */
function assemble(instructions: readonly (readonly [code: number, jt: number, jf: number, k: number])[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 * instructions.length));
  for (const [i, [code, jt, jf, k]] of instructions.entries()) {
    view.setUint16(8 * i, code, true);
    view.setUint8(8 * i + 2, jt);
    view.setUint8(8 * i + 3, jf);
    view.setUint32(8 * i + 4, k, true);
  }
  return new Uint8Array(view.buffer);
}

const FIRST = assemble([[LOAD_WORD, 0, 0, 0], [JUMP_EQUAL, 0, 1, 170], [RETURN, 0, 0, EPERM_ANSWER], [RETURN, 0, 0, ALLOW]]);
const SECOND = assemble([[RETURN, 0, 0, ALLOW]]);

/** A child that has loaded `filters` and waits in read(2) until it is released; it exits with 3. */
function filtered(filters: readonly Uint8Array[], flags = 0): { readonly pid: number; readonly release: () => number } {
  const [goReader, goWriter] = pipe();
  const [readyReader, readyWriter] = pipe();
  const pid = fork(() => {
    goWriter.close();
    setNoNewPrivileges();
    for (const filter of filters) setSeccompFilter(filter, flags);
    writeAll(readyWriter, "r");
    read(goReader, 1);
    return 3;
  });
  goReader.close();
  read(readyReader, 1);
  return {
    pid,
    release: () => {
      goWriter.close();
      const status = waitPid(pid)?.status;
      return status?.kind === "exited" ? status.code : -(status?.signal ?? 1000);
    },
  };
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

defineCases({
  "filters": () => {
    const child = filtered([FIRST, SECOND]);
    return { read: seccompFilters(child.pid).map(hex), loaded: [FIRST, SECOND].map(hex), exit: child.release() };
  },
  "none": () => {
    const child = filtered([]);
    return { read: seccompFilters(child.pid), exit: child.release() };
  },
  "metadata": () => {
    const child = filtered([FIRST], SECCOMP_FILTER_FLAG_LOG);
    const task = stopTask(child.pid);
    const flags = [seccompFilterFlags(task, 0), seccompFilterFlags(task, 1) ?? null];
    const past = seccompFilter(task, 1) ?? null;
    task[Symbol.dispose]();
    return { flags, past, exit: child.release() };
  },
  "held signal": () => {
    // A signal that arrives at the stopped task is delivered after it was let go.
    const child = filtered([SECOND]);
    const task = stopTask(child.pid);
    kill(child.pid, SIGNALS.SIGTERM);
    task[Symbol.dispose]();
    return { exit: child.release() };
  },
  "refusals": () => {
    const gone = filtered([]);
    gone.release();
    const child = filtered([FIRST]);
    const second = stopTask(child.pid);
    const twice = refusal(() => stopTask(child.pid));
    second[Symbol.dispose]();
    const noSuch = refusal(() => stopTask(gone.pid));
    setUserId(65534);
    const foreign = refusal(() => stopTask(child.pid));
    return { twice, noSuch, foreign, exit: child.release() };
  },
  "under seccomp": () => {
    const child = filtered([FIRST]);
    setNoNewPrivileges();
    setSeccompFilter(SECOND, 0);
    return { read: refusal(() => seccompFilters(child.pid)), exit: child.release() };
  },
});
