/**
 * A network for `--allow-net`: a network namespace of the sandbox's own, whose only way out is slirp4netns(1), which makes connections in the caller's
 * place. Nothing of the host's network changes. What may go out the kernel decides, before slirp4netns sees it (runtime/network/egress.ts).
 */
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { POLLIN } from "../../linux/abi/poll.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { createExecStub, prepareExec } from "../../linux/exec.unsafe.ts";
import type { Fd } from "../../linux/fd.ts";
import { closeOnExecFrom, duplicateOnto, open, pipe, read, setCloseOnExec } from "../../linux/file.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { poll } from "../../linux/poll.ts";
import { kill, waitPid } from "../../linux/process.ts";
import { createNetwork } from "../network/egress.ts";

export interface UserNetwork extends Disposable {
  /** Of the network namespace. */
  readonly path: string;
}

const COMMAND = "slirp4netns";
const READY_MS = 10_000;
const FLAGS = ["--configure", "--mtu=65520", "--disable-host-loopback", "--disable-dns", "--enable-sandbox", "--enable-seccomp", "--netns-type=path"];

/** It ends with this process, however that ends, or when it is disposed of. @throws Error where slirp4netns is not there or does not start */
export function openUserNetwork(): UserNetwork {
  const program = findCommand();
  const namespace = createNetwork();
  const [ready, written] = pipe();
  const [watched, lifeline] = pipe();
  const pid = fork(() => become(program, [written, watched, namespace]));
  written.close();
  watched.close();
  using _ready = ready;
  const end = () => {
    lifeline.close();
    namespace.close();
    waitPid(pid);
  };
  if (poll([{ fd: ready, events: POLLIN }], READY_MS)[0] !== 0 && read(ready, 1).length === 1) return { path: `/proc/${process.pid}/fd/${namespace.number}`, [Symbol.dispose]: end };
  kill(pid, SIGNALS.SIGKILL);
  end();
  throw new Error(`--allow-net: ${COMMAND} has not set up a network; see what it says: ${COMMAND} --configure PID tap0`);
}

function findCommand(): string {
  const found = (process.env["PATH"] ?? "").split(":").map((directory) => join(directory, COMMAND)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error(`--allow-net: there is no ${COMMAND} on the PATH, by which a sandbox reaches the network; install the package of that name`);
  return found;
}

/** Nothing but the three descriptors goes along. */
function become(program: string, [ready, exit, namespace]: readonly [Fd, Fd, Fd]): number {
  using nothing = open("/dev/null", fcntl.O_RDWR);
  const args = [COMMAND, ...FLAGS, `--ready-fd=${ready.number}`, `--exit-fd=${exit.number}`, `/proc/self/fd/${namespace.number}`, "tap0"];
  const go = prepareExec(createExecStub(), program, args, ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
  for (const stream of [0, 1, 2]) duplicateOnto(nothing, stream);
  closeOnExecFrom(FIRST_FREE);
  for (const fd of [ready, exit, namespace]) setCloseOnExec(fd, false);
  return go();
}

const FIRST_FREE = 3;
