/** The sandbox's tasks, by the procfs of the outer pid namespace, which is all that the sentry sees of any file system. */
import { ENOENT, ESRCH } from "../linux/abi/errno.ts";
import * as fcntl from "../linux/abi/fcntl.ts";
import { isErrno } from "../linux/errors.ts";
import type { Fd } from "../linux/fd.ts";
import { openAt, read } from "../linux/file.ts";

const LONGEST_STAT = 1024;
const LONGEST_STATUS = 4096;

export class Tasks {
  readonly #proc: Fd;

  get proc(): Fd {
    return this.#proc;
  }

  /** @param proc a procfs mount of the pid namespace whose init the sentry is. */
  constructor(proc: Fd) {
    this.#proc = proc;
  }

  /** A task's id in its own pid namespace; 0 where it is gone. Source: proc_pid_status(5), NSpid. */
  guestPid(pid: number): number {
    return Number(/^NSpid:.*\t(\d+)$/m.exec(this.#status(pid))?.[1] ?? 0);
  }

  /** The process that a task is of, and that one's parent; 0 as for `parentOf`. Source: proc_pid_status(5), Tgid and PPid. */
  kinOf(pid: number): { readonly process: number; readonly parent: number } {
    const status = this.#status(pid);
    return { process: Number(/^Tgid:\t(\d+)$/m.exec(status)?.[1] ?? 0), parent: Number(/^PPid:\t(\d+)$/m.exec(status)?.[1] ?? 0) };
  }

  /** Empty where it is gone. */
  #status(pid: number): string {
    try {
      using status = openAt(this.#proc, `${pid}/status`, fcntl.O_RDONLY);
      return Buffer.from(read(status, LONGEST_STATUS)).toString("latin1");
    } catch (error) {
      if (isErrno(error, ENOENT, ESRCH)) return "";
      throw error;
    }
  }

  /** The parent of a task; 0 where that is outside of the sandbox, or the task is gone. Source: proc_pid_stat(5). */
  parentOf(pid: number): number {
    try {
      using stat = openAt(this.#proc, `${pid}/stat`, fcntl.O_RDONLY);
      const text = Buffer.from(read(stat, LONGEST_STAT)).toString("latin1");
      // The command's name, in parentheses, may hold anything.
      return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]);
    } catch (error) {
      if (isErrno(error, ENOENT, ESRCH)) return 0;
      throw error;
    }
  }
}
