/**
 * How a process comes to be traced before it executes its program:
 *
 *   init, or a process of exec                     sentry
 *      | loads the filter                             |
 *      |---- "gate": one end of a socket pair ------->|
 *      | becomes the stub (linux/exec.unsafe.ts)      |
 *      |---- a byte --------------------------------->| SO_PEERCRED says who; PTRACE_SEIZE
 *      |<------------------------------------- a byte |
 *      | executes the program                         |
 *
 * Not before the stub: until then its memory is the runtime's, over which the sentry has no right (mm_struct's user_ns, Linux kernel/ptrace.c
 * __ptrace_may_access). Where the sentry cannot trace it the socket closes without a byte, and the stub ends.
 */
import { messageOf, SysError } from "../../../linux/errors.ts";
import type { Fd } from "../../../linux/fd.ts";
import { read, writeAll } from "../../../linux/file.ts";
import { interrupt, trySeize } from "../../../linux/seccomp-trace.ts";
import { peerPid } from "../../../linux/socket.ts";
import type { Handle, Source } from "../platform.ts";
import type { Sink } from "../../strace.ts";
import type { Tracer } from "./tracer.ts";

export class Gate implements Source {
  readonly fd: Fd;
  readonly #tracer: Tracer;
  readonly #warn: (message: string) => void;
  #sink: Sink | undefined;

  /** @param sink where the process's calls are to be told of. */
  constructor(fd: Fd, tracer: Tracer, warn: (message: string) => void, sink: Sink | undefined) {
    this.fd = fd;
    this.#tracer = tracer;
    this.#warn = warn;
    this.#sink = sink;
  }

  serve(handle: Handle): boolean {
    try {
      if (read(this.fd, 1).length === 1) this.#open(peerPid(this.fd), handle);
    } catch (error) {
      this.#warn(`a process could not be let in: ${messageOf(error)}`);
    }
    this.#sink?.close();
    return false;
  }

  #open(pid: number, handle: Handle): void {
    const result = trySeize(pid, this.#sink !== undefined ? "all" : this.#tracer.callStops);
    if (result < 0) throw new SysError({ syscall: "ptrace", errno: -result, path: `PTRACE_SEIZE ${pid}` });
    const sink = this.#sink;
    this.#sink = undefined;
    this.#tracer.admit(pid, handle, sink);
    // So that it is followed from call to call before it executes the program.
    if (sink !== undefined) interrupt(pid);
    writeAll(this.fd, "+");
  }
}
