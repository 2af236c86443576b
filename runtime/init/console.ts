/** The process's terminal. Source: runtime-spec config.md#process, "terminal"; runc docs/terminals.md for the socket's message. */
import { ENOENT } from "../../linux/abi/errno.ts";
import { isErrno } from "../../linux/errors.ts";
import { AT_FDCWD, type Fd } from "../../linux/fd.ts";
import { duplicateOnto } from "../../linux/file.ts";
import { attachMount, cloneTree } from "../../linux/mount.ts";
import { sendMessage } from "../../linux/socket.ts";
import { openPty, setControllingTerminal, setWindowSize, type Pty } from "../../linux/tty.ts";
import type { Process } from "../spec/config.ts";
import { makeFileInRoot } from "./in-root.ts";
import type { ConsoleTarget } from "./launch.ts";

/** Opens a pair in the container's devpts where it has one, else in the host's. `dir` is the container's root. */
function openTerminal(dir: Fd | undefined): Pty {
  try {
    return dir === undefined ? openPty(AT_FDCWD, "/dev/pts/ptmx") : openPty(dir, "dev/pts/ptmx");
  } catch (error) {
    if (!isErrno(error, ENOENT)) throw error;
    return openPty(AT_FDCWD, "/dev/ptmx");
  }
}

/** Makes a terminal the process's own, sends its master to whoever asked for it, and puts the slave on 0, 1 and 2. */
export function takeTerminal(target: ConsoleTarget, process: Process, root: Fd | undefined): Fd {
  const { master, slave, index } = openTerminal(root);
  if (process.consoleSize !== undefined) setWindowSize(master, { rows: process.consoleSize.height, columns: process.consoleSize.width });
  sendMessage(target.socket, Buffer.from(`/dev/pts/${index}`), [master]);
  master.close();
  setControllingTerminal(slave);
  for (const fd of [0, 1, 2]) duplicateOnto(slave, fd);
  return slave;
}

/** Binds the terminal over /dev/console, which a process without other means of output writes to. */
export function bindConsole(root: Fd, slave: Fd): void {
  using tree = cloneTree(slave, "", false);
  using target = makeFileInRoot(root, "/dev/console");
  attachMount(tree, target);
}
