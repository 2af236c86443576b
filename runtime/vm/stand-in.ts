/**
 * The host's process for a process in a guest: its streams are the guest's, its signals reach it there, it ends as that one ended. A forked
 * process that never enters Node's event loop.
 *
 *   created  -- start is asked for on the start socket, the agent answers --> running -- exited, signaled --> the end
 */
import { POLLIN, POLLOUT } from "../../linux/abi/poll.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { assertNever } from "../../linux/errors.ts";
import { type Fd, type FdLike, fdNumber } from "../../linux/fd.ts";
import { poll, type PollRequest } from "../../linux/poll.ts";
import { getPid, kill, type ExitStatus } from "../../linux/process.ts";
import { ALL_SIGNALS, NO_SIGNALS, setSignalMask } from "../../linux/signal.ts";
import { createSignalFd, takeSignal } from "../../linux/signalfd.ts";
import { acceptUnix, receiveMessage } from "../../linux/socket.ts";
import { getWindowSize } from "../../linux/tty.ts";
import { tryReadInto, tryWriteFrom } from "../../vmm/devices/host-io.ts";
import { PeerGone, send } from "../init/protocol.ts";
import type { Channel } from "./channel.ts";
import { FRAME, INPUT_WINDOW, parseFromAgent, type FromAgent } from "./protocol.ts";

/** What a pipe takes without waiting where it says that it takes anything (PIPE_BUF). */
const OUTPUT_CHUNK = 4096;

/** Signals that are about this process and nobody else. */
const OWN: ReadonlySet<number> = new Set([SIGNALS.SIGCHLD, SIGNALS.SIGWINCH, SIGNALS.SIGPIPE, SIGNALS.SIGTTIN, SIGNALS.SIGTTOU]);

export interface StandInOptions {
  readonly channel: Channel;
  /** Its own end of a terminal, where the process has one; else the standard streams. */
  readonly terminal: Fd | undefined;
  /** Where `start` is asked for, and the lock that says that it was not yet. */
  readonly start?: { readonly listener: Fd; readonly created: Fd };
}

/** The signals that wait for `StandIn`: to be called first thing in the process, so that none is lost. */
export function holdSignals(): Fd {
  setSignalMask(ALL_SIGNALS);
  return createSignalFd(ALL_SIGNALS);
}

export class StandIn {
  readonly #options: StandInOptions;
  readonly #signals: Fd;
  /** Whoever asked for the start, and waits for the answer. */
  #starter: Fd | undefined;
  #listening: boolean;
  /** How much more of the standard input the agent takes. */
  #window = INPUT_WINDOW;
  #inputOpen = true;
  /** Output that has not left yet; while there is some, nothing is read from the agent. */
  readonly #output: { readonly fd: FdLike; rest: Uint8Array }[] = [];

  constructor(options: StandInOptions, signals: Fd) {
    this.#options = options;
    this.#signals = signals;
    this.#listening = options.start !== undefined;
  }

  /** @returns how the process ended; as if by SIGKILL where the guest is gone. @throws Error where it breaks the protocol. */
  run(): ExitStatus {
    const { channel } = this.#options;
    this.#tellSize();
    // What came along with the answer to the request.
    const early = this.#channelReady(0);
    if (early !== undefined) return this.#drained(early);
    for (;;) {
      const [output] = this.#output;
      const requests: (PollRequest & { readonly act: (happened: number) => ExitStatus | undefined | void })[] = [
        { fd: channel.fd, events: channel.events(output === undefined), act: (happened) => this.#channelReady(happened) },
        { fd: this.#signals, events: POLLIN, act: () => this.#passSignals() },
      ];
      if (output !== undefined) requests.push({ fd: output.fd, events: POLLOUT, act: () => this.#write() });
      if (this.#inputOpen && this.#window > 0 && channel.idle) requests.push({ fd: this.#options.terminal ?? 0, events: POLLIN, act: () => this.#readInput() });
      const start = this.#options.start;
      if (start !== undefined && this.#listening && this.#starter === undefined) requests.push({ fd: start.listener, events: POLLIN, act: () => this.#askedToStart(start.listener) });
      for (const [i, happened] of poll(requests, Infinity).entries()) {
        const ended = happened === 0 ? undefined : requests[i]?.act(happened);
        if (ended !== undefined) return this.#drained(ended);
      }
    }
  }

  #channelReady(happened: number): ExitStatus | undefined {
    const { channel } = this.#options;
    if ((happened & POLLOUT) !== 0) channel.flush();
    if ((happened & ~POLLOUT) !== 0) channel.read();
    let ended: ExitStatus | undefined;
    for (let frame = channel.next(); frame !== undefined; frame = channel.next()) {
      const { kind, content } = frame;
      if (kind === FRAME.json) ended ??= this.#hear(parseFromAgent(content));
      else this.#output.push({ fd: this.#options.terminal ?? (kind === FRAME.data ? 1 : 2), rest: content });
    }
    // The machine, and with it the process, was ended from outside.
    if (ended === undefined && channel.gone) return { kind: "signaled", signal: SIGNALS.SIGKILL };
    return ended;
  }

  #hear(message: FromAgent): ExitStatus | undefined {
    switch (message.kind) {
      case "started": return this.#answerStarter(() => ({ kind: "executing" }));
      case "failed": return this.#answerStarter(() => ({ kind: "failed", error: { kind: "other", message: message.message } })) ?? { kind: "exited", code: 1 };
      case "input-taken":
        this.#window = Math.min(INPUT_WINDOW, this.#window + message.bytes);
        return undefined;
      case "exited": return { kind: "exited", code: message.code };
      case "signaled": return message;
      case "created":
      case "oom":
      case "answer": throw new Error("the agent answers what was not asked");
      default: return assertNever(message);
    }
  }

  /** The socket's end says that the program runs, or never will. */
  #answerStarter(answer: () => Parameters<typeof send>[1]): undefined {
    const starter = this.#starter;
    this.#options.start?.listener.close();
    this.#options.start?.created.close();
    this.#listening = false;
    try {
      if (starter !== undefined) send(starter, answer());
    } catch (error) {
      if (!(error instanceof PeerGone)) throw error;
    }
    starter?.close();
    this.#starter = undefined;
  }

  /** Whoever connects and leaves without a word is ignored. */
  #askedToStart(listener: Fd): void {
    const connection = acceptUnix(listener);
    if (receiveMessage(connection) === undefined) return connection.close();
    this.#starter = connection;
    this.#options.channel.say({ kind: "start" });
  }

  #passSignals(): void {
    for (let signal = takeSignal(this.#signals); signal !== undefined; signal = takeSignal(this.#signals)) {
      if (signal.signal === SIGNALS.SIGWINCH) this.#tellSize();
      else if (!OWN.has(signal.signal)) this.#options.channel.say({ kind: "signal", signal: signal.signal });
    }
  }

  #tellSize(): void {
    const { terminal, channel } = this.#options;
    if (terminal !== undefined) channel.say({ kind: "resize", ...getWindowSize(terminal) });
  }

  #readInput(): void {
    const buffer = Buffer.alloc(Math.min(this.#window, INPUT_WINDOW));
    const size = tryReadInto(fdNumber(this.#options.terminal ?? 0), [buffer]);
    if (size === "later") return;
    if (size === 0 || size === "gone") {
      this.#inputOpen = false;
      return this.#options.channel.say({ kind: "input-end" });
    }
    this.#window -= size;
    this.#options.channel.send(FRAME.data, buffer.subarray(0, size));
  }

  #write(): void {
    const first = this.#output[0];
    if (first === undefined) return;
    const written = tryWriteFrom(fdNumber(first.fd), [first.rest.subarray(0, OUTPUT_CHUNK)]);
    if (written === "later") return;
    // Nobody reads it any more: the process in the guest cannot be told in time, and goes on.
    first.rest = written === "gone" ? new Uint8Array(0) : first.rest.subarray(written);
    if (first.rest.length === 0) this.#output.shift();
  }

  #drained(ended: ExitStatus): ExitStatus {
    for (let first = this.#output[0]; first !== undefined; first = this.#output[0]) {
      poll([{ fd: first.fd, events: POLLOUT }], Infinity);
      this.#write();
    }
    return ended;
  }
}

/** Ends this process as the other one ended. @returns the exit code for one that exited. */
export function endAs(status: ExitStatus): number {
  if (status.kind === "exited") return status.code;
  setSignalMask(NO_SIGNALS);
  kill(getPid(), status.signal);
  return 128 + status.signal;
}
