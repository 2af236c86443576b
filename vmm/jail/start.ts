/** From a forked process to a VMM in its jail. */
import { dirname } from "node:path";
import { O_RDWR } from "../../linux/abi/fcntl.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { check, messageOf } from "../../linux/errors.ts";
import { createExecStub, prepareExec } from "../../linux/exec.unsafe.ts";
import type { Fd, FdLike } from "../../linux/fd.ts";
import { closeOnExecFrom, duplicateOnto, open, pipe, readAll, setCloseOnExec, writeAll } from "../../linux/file.ts";
import { tryClone } from "../../linux/fork.unsafe.ts";
import { poll } from "../../linux/poll.ts";
import { setParentDeathSignal } from "../../linux/prctl.ts";
import { waitPid } from "../../linux/process.ts";
import { NO_SIGNALS, setSignalMask } from "../../linux/signal.ts";
import { VMM_NODE_FLAGS } from "../node-flags.ts";
import { enterVmmJail, VMM_NAMESPACES, type VmmJail } from "./enter.ts";

/** Where `VmmJail.files` is to have Node, and the VMM's bundle. */
export const JAIL_PATHS = { node: "/node", folder: "/vmm", program: "/vmm/tssandbox.cjs" } as const;

export interface JailedOptions {
  readonly jail: VmmJail;
  /** Node's: flags, a program's path in the jail, and the program's arguments. */
  readonly args: readonly string[];
  /** What it has besides the streams, by the same numbers. */
  readonly kept: readonly FdLike[];
  /** Becomes standard error; input and output are empty. */
  readonly log: FdLike;
}

/**
 * Starts Node in a VMM's jail; it is killed when the caller ends.
 * Preconditions: those of `tryClone`, as root. @returns its pid. @throws Error with the step that failed
 */
export function startJailed(options: JailedOptions): number {
  // Closed by the execution, or told why there is none.
  const [failure, report] = pipe();
  const pid = check(tryClone({ namespaces: VMM_NAMESPACES, cgroup: undefined }, () => {
    try {
      failure.close();
      return become(options, report);
    } catch (error) {
      writeAll(report, messageOf(error));
      return 1;
    }
  }), "clone3");
  report.close();
  using _failure = failure;
  const reason = Buffer.from(readAll(failure)).toString();
  if (reason === "") return pid;
  waitPid(pid);
  throw new Error(reason);
}

/** @param parent has a reader for as long as the caller lives. */
function become({ jail, args, kept, log }: JailedOptions, parent: Fd): never {
  // A distribution may keep them where the loader looks only by a cache, which is not in the jail.
  const libraries = [...new Set([...jail.files.keys()].map((path) => dirname(path)))].join(":");
  const execute = prepareExec(createExecStub(), JAIL_PATHS.node, ["tssandbox-vmm", ...VMM_NODE_FLAGS, ...args], [`LD_LIBRARY_PATH=${libraries}`]);
  using nothing = open("/dev/null", O_RDWR);
  for (const stream of [0, 1]) duplicateOnto(nothing, stream);
  duplicateOnto(log, 2);
  closeOnExecFrom(3);
  for (const fd of kept) setCloseOnExec(fd, false);
  enterVmmJail(jail);
  // Not before: a change of ids takes it back. Source: prctl(2).
  setParentDeathSignal(SIGNALS.SIGKILL);
  if (poll([{ fd: parent, events: 0 }], 0)[0] !== 0) throw new Error("whoever starts the VMM is gone");
  setSignalMask(NO_SIGNALS);
  return execute();
}
