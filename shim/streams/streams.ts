/** A process's standard streams: pipes or a terminal at its end, what containerd asked for at the other. */
import { closeSync } from "node:fs";
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { ReadStream } from "node:tty";
import { O_RDWR } from "../../linux/abi/fcntl.ts";
import type { Fd } from "../../linux/fd.ts";
import { changeOwner, duplicate, open, pipe } from "../../linux/file.ts";
import { receiveMessage, socketPair } from "../../linux/socket.ts";
import { setWindowSize } from "../../linux/tty.ts";
import type { Streams } from "../operation.ts";
import { parseDestination, type Destination } from "./destination.ts";
import { copyInput, type Input } from "./input.ts";
import { startLogger, type Logger } from "./logger.ts";
import { awaitReader, openSink, pipeSink } from "./sink.ts";

export interface StreamNames {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

export interface StreamOwner {
  readonly uid: number;
  readonly gid: number;
}

interface Destinations {
  readonly stdout: Destination;
  readonly stderr: Destination;
  readonly logger: Logger | undefined;
}

export class ProcessStreams {
  /** For the process; closed by `started` or `destroy`. */
  readonly ends: Streams;
  /** Where the process's side sends its terminal. */
  readonly console: Fd | undefined;
  readonly #names: StreamNames;
  readonly #owner: StreamOwner;
  /** They keep containerd's readers from seeing an end before the sinks are open: a terminal's is when there is one. */
  readonly #readers: number[];
  readonly #destinations: Destinations;
  readonly #consoleEnd: Fd | undefined;
  readonly #copies: (readonly [Readable, Writable])[] = [];
  readonly #pending: Promise<void>[] = [];
  #input: Input | undefined;
  #master: Fd | undefined;

  private constructor(names: StreamNames, owner: StreamOwner, destinations: Destinations, readers: readonly (number | undefined)[]) {
    this.#readers = readers.filter((fd) => fd !== undefined);
    this.#names = names;
    this.#owner = owner;
    this.#destinations = destinations;
    if (names.terminal) [this.#consoleEnd, this.console] = socketPair();
    this.ends = names.terminal ? [nowhere(), nowhere(), nowhere()] : [this.#openInput(), this.#openOutput("stdout"), this.#openOutput("stderr")];
  }

  /** @param owner of the pipes. @param id of the container, for a logger. */
  static async open(names: StreamNames, owner: StreamOwner, id: string, namespace: string): Promise<ProcessStreams> {
    const [stdout, stderr] = [parseDestination(names.stdout), parseDestination(names.stderr)];
    const logger = stdout.kind === "binary" ? await startLogger(stdout, id, namespace) : undefined;
    try {
      const readers = await Promise.all([stdout, stderr].map(awaitReader));
      return new ProcessStreams(names, owner, { stdout, stderr, logger }, readers);
    } catch (error) {
      logger?.end();
      throw error;
    }
  }

  #pipe(): [Fd, Fd] {
    const ends = pipe();
    changeOwner(ends[0], this.#owner.uid, this.#owner.gid);
    return ends;
  }

  #openInput(): Fd {
    if (this.#names.stdin === "") return nowhere();
    const [theirs, ours] = this.#pipe();
    this.#input = copyInput(this.#names.stdin, pipeSink(ours), true);
    return theirs;
  }

  #openOutput(name: "stdout" | "stderr"): Fd {
    const { logger, [name]: destination } = this.#destinations;
    if (destination.kind === "binary") return logger?.[name] ?? nowhere();
    if (destination.kind === "none") return nowhere();
    const [ours, theirs] = this.#pipe();
    this.#copy(new Socket({ fd: ours.release(), readable: true, writable: false }), openSink(destination));
    return theirs;
  }

  #copy(source: Readable, sink: Writable): void {
    this.#copies.push([source, sink]);
    source.pipe(sink);
    // A terminal's master says EIO where a pipe would say that it ends; a sink that fails must not keep the process waiting.
    source.on("error", () => sink.end());
    sink.on("error", () => source.unpipe(sink).resume());
    this.#pending.push(new Promise((resolve) => sink.once("close", resolve)));
  }

  /** The process exists: its ends are its own now. */
  started(): void {
    this.#closeEnds();
    const master = this.#consoleEnd === undefined ? undefined : receiveMessage(this.#consoleEnd)?.fds[0];
    this.#consoleEnd?.close();
    if (master !== undefined) this.#relay(master);
    this.#closeReaders();
    // A terminal has no standard error.
    this.#destinations.logger?.closeEnds();
  }

  #relay(master: Fd): void {
    // The terminal may hang up while a resize is on its way: the size is set by a descriptor of our own.
    this.#master = duplicate(master);
    const stream = new ReadStream(master.release());
    const { stdin } = this.#names;
    const { logger, stdout } = this.#destinations;
    if (stdin !== "") this.#input = copyInput(stdin, stream, false);
    if (logger !== undefined) this.#copy(stream, pipeSink(logger.stdout));
    else if (stdout.kind === "none" || stdout.kind === "binary") stream.on("error", () => stream.destroy()).resume();
    else this.#copy(stream, openSink(stdout));
  }

  closeInput(): void {
    this.#input?.close();
  }

  /** Without a terminal there is nothing to change. */
  resize(columns: number, rows: number): void {
    if (this.#master !== undefined) setWindowSize(this.#master, { rows, columns });
  }

  /** When all output has been passed on, and a logger has done with it: after the process's end, and that of whoever has inherited its streams; or after `timeoutMs`. */
  async drained(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => void (timer = setTimeout(resolve, timeoutMs)));
    await Promise.race([Promise.all([...this.#pending, this.#destinations.logger?.ended()]), late]);
    clearTimeout(timer);
  }

  destroy(): void {
    this.#closeEnds();
    this.#closeReaders();
    this.#consoleEnd?.close();
    this.#input?.destroy();
    this.#master?.close();
    for (const stream of this.#copies.flat()) stream.destroy();
    this.#destinations.logger?.end();
  }

  #closeReaders(): void {
    for (const fd of this.#readers.splice(0)) closeSync(fd);
  }

  #closeEnds(): void {
    for (const fd of [...this.ends, this.console]) fd?.close();
  }
}

const nowhere = () => open("/dev/null", O_RDWR);
