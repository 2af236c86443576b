/** The agent's side of one process: sets it up, passes its streams and signals on, tells how it ended. A forked process, all synchronous. */
import { existsSync, mkdirSync, readdirSync, readlinkSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { EINVAL, ENOENT } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { POLLIN, POLLOUT } from "../../linux/abi/poll.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { addEntropy, setClock } from "../../linux/clock.ts";
import { trySyncFileSystem } from "../../linux/data.ts";
import { assertNever, isErrno, messageOf } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { duplicateOnto, open, pipe } from "../../linux/file.ts";
import { setNonBlocking } from "../../linux/fcntl.ts";
import { MNT_DETACH, mount, unmount } from "../../linux/mount.ts";
import { CLONE_NEW, setHostname, setNamespace } from "../../linux/namespace.ts";
import { poll, type PollRequest } from "../../linux/poll.ts";
import { kill, pidfdOpen, tryWaitPid, type ExitStatus } from "../../linux/process.ts";
import { acceptUnix, connectUnix, listenUnix, receiveMessage, sendMessage, socketPair } from "../../linux/socket.ts";
import { setWindowSize } from "../../linux/tty.ts";
import { tryReadInto, tryWriteFrom } from "../../vmm/devices/host-io.ts";
import { NO_CONFIG } from "../config/schema.ts";
import type { Cgroup } from "../cgroups/index.ts";
import { createContainer } from "../container/create.ts";
import { destroyContainer } from "../container/delete.ts";
import { execInContainer } from "../container/exec.ts";
import { startContainer } from "../container/start.ts";
import { cgroupOf } from "../container/status.ts";
import { Container } from "../container/store.ts";
import type { ConsoleTarget } from "../init/launch.ts";
import type { Logger } from "../log.ts";
import { Channel } from "./channel.ts";
import { configureNetwork } from "./guest-network.ts";
import { shareOf } from "./guest-spec.ts";
import { renewMachineId } from "./machine-id.ts";
import { CHUNK, FRAME, type FromHost } from "./protocol.ts";
import { answerQuestion } from "./questions.ts";

/** What is read of a process's output after its end: others may hold the same pipe, and write for ever. */
const DRAIN_LIMIT = 1 << 20;
/** The clock is left alone where it is about right. */
const CLOCK_TOLERANCE_MS = 500;

type Request = Extract<FromHost, { kind: "create" | "exec" | "ask" | "adopt" }>;
type ProcessRequest = Extract<Request, { kind: "create" | "exec" }>;

/** @returns the exit code of this process, which means nothing to anybody. */
export function serveTask(connection: Fd, root: string, log: Logger): number {
  const channel = new Channel(connection);
  try {
    const request = awaitRequest(channel);
    if (request === undefined) return 1;
    if (request.kind === "adopt") return handOver(connection, request, root);
    if (request.kind === "ask") answerAsked(channel, request, root, log);
    else runProcess(channel, request, root, log);
  } catch (error) {
    channel.say({ kind: "failed", message: messageOf(error).slice(0, 4096) });
  }
  while (!channel.idle && !channel.gone) {
    poll([{ fd: channel.fd, events: POLLOUT }], Infinity);
    channel.flush();
  }
  return 0;
}

function answerAsked(channel: Channel, { id, question }: Extract<Request, { kind: "ask" }>, root: string, log: Logger): void {
  const container = Container.open(root, id);
  if (question.do === "watch-oom") watchOom(channel, cgroupOf(container));
  else channel.say({ kind: "answer", text: answerQuestion(container, question, log) });
}

function watchOom(channel: Channel, cgroup: Cgroup): void {
  using oom = cgroup.oomEvents();
  if (oom === undefined) throw new Error("the container has no memory controller");
  channel.say({ kind: "answer", text: "null" });
  while (!channel.gone) {
    const [fromHost = 0] = poll([{ fd: channel.fd, events: channel.events(true) }, oom.request], Infinity);
    if ((fromHost & POLLOUT) !== 0) channel.flush();
    if ((fromHost & ~POLLOUT) !== 0) channel.read();
    const news = oom.take();
    if (news === "gone") return;
    if (news === "oom") channel.say({ kind: "oom" });
  }
}

function runProcess(channel: Channel, request: ProcessRequest, root: string, log: Logger): void {
  refresh(request);
  if (request.kind === "create") configureNetwork(request.network);
  using undo = new DisposableStack();
  if (request.kind === "create") undo.adopt(mountLoans(request), unmountLoans);
  new Task(channel, request, root, log).run();
}

function awaitRequest(channel: Channel): Request | undefined {
  while (!channel.gone) {
    poll([{ fd: channel.fd, events: POLLIN }], Infinity);
    channel.read();
    const frame = channel.next();
    if (frame === undefined) continue;
    const message = JSON.parse(Buffer.from(frame.content).toString()) as FromHost;
    if (message.kind !== "create" && message.kind !== "exec" && message.kind !== "ask" && message.kind !== "adopt") throw new Error(`the agent was told to ${message.kind} first`);
    return message;
  }
  return undefined;
}

/** Not in a user namespace of a test's, which may set neither. */
function refresh({ time, seed }: Pick<ProcessRequest, "time" | "seed">): void {
  try {
    if (Math.abs(Date.now() - time) > CLOCK_TOLERANCE_MS) setClock(time);
    addEntropy(Buffer.from(seed, "base64"));
  } catch {
    // The kernel's own sources must do.
  }
}

interface Output {
  readonly fd: Fd;
  readonly kind: number;
  ended: boolean;
}

class Task {
  #channel: Channel;
  /** Where a new host comes from, for one that stays. */
  readonly #adoption: Fd | undefined;
  #adopted = false;
  readonly #log: Logger;
  readonly #container: Container;
  readonly #own: boolean;
  readonly #pid: number;
  readonly #outputs: Output[];
  readonly #terminal: Fd | undefined;
  #input: Fd | undefined;
  #pending: Buffer[] = [];
  #inputEnds = false;

  constructor(channel: Channel, request: ProcessRequest, root: string, log: Logger) {
    this.#channel = channel;
    this.#log = log;
    this.#own = request.kind === "create";
    const terminal = (request.kind === "create" ? request.spec.process : request.process)?.terminal === true;
    const streams = terminal ? terminalStreams() : pipeStreams();
    const made = request.kind === "create" ? create(request, root, streams.console, log) : execute(request, root, streams.console, log);
    this.#container = made.container;
    this.#adoption = request.kind === "create" && request.stays ? listenForHost(this.#container) : undefined;
    this.#pid = made.pid;
    const { input, outputs, master } = streams.take();
    this.#input = input;
    this.#outputs = outputs;
    this.#terminal = master;
    channel.say({ kind: "created" });
    if (request.kind === "exec") channel.say({ kind: "started" });
  }

  /** What the container has written is with the host's files before its end is told: the host ends what serves them then. */
  run(): void {
    let status: ExitStatus | undefined;
    try {
      status = this.#supervise();
      if (status !== undefined) this.#drain();
    } finally {
      this.#end();
    }
    if (status !== undefined) this.#channel.say(status.kind === "exited" ? status : { kind: "signaled", signal: status.signal });
  }

  /** @returns undefined where the host is gone. */
  #supervise(): ExitStatus | undefined {
    using process = pidfdOpen(this.#pid);
    for (;;) {
      const requests: (PollRequest & { readonly act: (happened: number) => ExitStatus | undefined | void })[] = [
        { fd: process, events: POLLIN, act: () => this.#reap() },
        ...(this.#channel.gone ? [] : this.#talking()),
        ...(this.#adoption === undefined ? [] : [{ fd: this.#adoption, events: POLLIN, act: () => this.#adopt() }]),
      ];
      for (const [i, happened] of poll(requests, Infinity).entries()) {
        const ended = happened === 0 ? undefined : requests[i]?.act(happened);
        if (ended !== undefined) return ended;
      }
      if (this.#channel.gone && this.#adoption === undefined) return undefined;
    }
  }

  #talking(): (PollRequest & { readonly act: (happened: number) => void })[] {
    const outputs = this.#outputs.filter(({ ended }) => !ended);
    return [
      { fd: this.#channel.fd, events: this.#channel.events(true), act: (happened) => this.#channelReady(happened) },
      ...outputs.map((output) => ({ fd: output.fd, events: this.#channel.idle ? POLLIN : 0, act: () => void (this.#channel.idle && this.#pass(output)) })),
      ...(this.#pending.length === 0 || this.#input === undefined ? [] : [{ fd: this.#input, events: POLLOUT, act: () => this.#feed() }]),
    ];
  }

  #channelReady(happened: number): void {
    if ((happened & POLLOUT) !== 0) this.#channel.flush();
    if ((happened & ~POLLOUT) !== 0) this.#hear();
  }

  #reap(): ExitStatus | undefined {
    for (let reaped = tryWaitPid(-1); reaped !== undefined; reaped = tryWaitPid(-1)) if (reaped.pid === this.#pid) return reaped.status;
    return undefined;
  }

  /** What was under way to the last host is its own: output that it had not read, input that it had sent. */
  #adopt(): void {
    if (this.#adoption === undefined) return;
    using from = acceptUnix(this.#adoption);
    const connection = receiveMessage(from)?.fds[0];
    if (connection === undefined) return;
    this.#channel.fd.close();
    this.#channel = new Channel(connection);
    this.#pending = [];
    this.#adopted = true;
    this.#channel.say({ kind: "created" });
  }

  #hear(): void {
    this.#channel.read();
    for (let frame = this.#channel.next(); frame !== undefined; frame = this.#channel.next()) {
      const { kind, content } = frame;
      if (kind === FRAME.data) this.#pending.push(Buffer.from(content));
      else this.#obey(JSON.parse(Buffer.from(content).toString()) as FromHost);
    }
    this.#feed();
  }

  #obey(message: FromHost): void {
    switch (message.kind) {
      case "start": return this.#start();
      case "signal": return void kill(this.#pid, message.signal);
      case "resize": return this.#terminal === undefined ? undefined : setWindowSize(this.#terminal, message);
      case "input-end":
        this.#inputEnds = true;
        return;
      case "create":
      case "exec":
      case "adopt":
      case "ask": throw new Error("one process for each connection");
      default: assertNever(message);
    }
  }

  #start(): void {
    try {
      if (this.#adopted) cgroupOf(this.#container).thaw();
      else startContainer(this.#container);
      this.#channel.say({ kind: "started" });
    } catch (error) {
      this.#channel.say({ kind: "failed", message: messageOf(error).slice(0, 4096) });
    }
  }

  /** What the process does not take stays here: the host sends no more ahead than it was told there is room for. */
  #feed(): void {
    let taken = 0;
    while (this.#pending.length > 0) {
      const written = this.#input === undefined ? "gone" : tryWriteFrom(this.#input.number, this.#pending);
      if (written === "later") break;
      if (written === "gone") this.#closeInput();
      let left = written === "gone" ? this.#pending.reduce((sum, { length }) => sum + length, 0) : written;
      taken += left;
      for (let first = this.#pending[0]; first !== undefined && left >= first.length; first = this.#pending[0]) {
        left -= first.length;
        this.#pending.shift();
      }
      if (left > 0 && this.#pending[0] !== undefined) this.#pending[0] = this.#pending[0].subarray(left);
    }
    if (taken > 0) this.#channel.say({ kind: "input-taken", bytes: taken });
    if (this.#inputEnds && this.#pending.length === 0) this.#endInput();
  }

  /** A terminal has no end: its line discipline makes one of ^D. */
  #endInput(): void {
    this.#inputEnds = false;
    if (this.#terminal !== undefined) tryWriteFrom(this.#terminal.number, [Buffer.from("\u0004")]);
    else this.#closeInput();
  }

  #closeInput(): void {
    if (this.#terminal === undefined) this.#input?.close();
    this.#input = undefined;
  }

  /** @returns the bytes that were there. */
  #pass(output: Output): number {
    const buffer = Buffer.alloc(CHUNK);
    const size = tryReadInto(output.fd.number, [buffer]);
    if (size === "later") return 0;
    if (size === 0 || size === "gone") {
      output.ended = true;
      return 0;
    }
    this.#channel.send(output.kind, buffer.subarray(0, size));
    return size;
  }

  #drain(): void {
    for (const output of this.#outputs) {
      for (let [total, size] = [0, 1]; size > 0 && !output.ended && total < DRAIN_LIMIT; total += size) size = this.#pass(output);
    }
  }

  #end(): void {
    if (!this.#own) return void kill(this.#pid, SIGNALS.SIGKILL);
    destroyContainer(this.#container, this.#log);
    removeBundle(this.#container.record.bundle);
    for (const path of sharesOf(this.#container.record.id)) sync(path);
  }
}

const ADOPTION = "adopt.sock";

/** In the container's own state directory. */
function listenForHost({ directory }: Container): Fd {
  using path = open(directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
  return listenUnix(`${path.procPath}/${ADOPTION}`);
}

/** Gives the connection to the task of a container that was restored, which has randomness, a clock, a name and addresses of its own by then. */
function handOver(connection: Fd, request: Extract<Request, { kind: "adopt" }>, root: string): number {
  refresh(request);
  const { directory, record } = Container.open(root, request.id);
  rename(record.pid, request.hostname);
  renewMachineId(record.pid);
  configureNetwork(request.network);
  using path = open(directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
  using task = connectUnix(`${path.procPath}/${ADOPTION}`);
  sendMessage(task, Buffer.from("host"), [connection]);
  return 0;
}

const namespaceOf = (pid: number | "self") => readlinkSync(`/proc/${pid}/ns/uts`);

/** In its UTS namespace, unless that is the guest's. */
function rename(pid: number, hostname: string): void {
  if (namespaceOf(pid) === namespaceOf("self")) return;
  using namespace = open(`/proc/${pid}/ns/uts`, fcntl.O_RDONLY);
  setNamespace(namespace, CLONE_NEW.uts, "uts");
  setHostname(hostname.slice(0, MAX_HOSTNAME));
}

/** Source: sethostname(2). */
const MAX_HOSTNAME = 64;

type CreateRequest = Extract<Request, { kind: "create" }>;

/** @returns the container's id. */
function mountLoans({ id, loans }: CreateRequest): string {
  for (const [name, tag] of Object.entries(loans)) {
    const path = `${shareOf(id)}/${name}`;
    mkdirSync(path, { recursive: true });
    mount(tag, path, "virtiofs", 0);
  }
  return id;
}

const sharesOf = (id: string): string[] => (existsSync(shareOf(id)) ? readdirSync(shareOf(id)).map((name) => `${shareOf(id)}/${name}`) : []);

/** Directories by rmdir alone: what is still mounted below them is the host's. */
function unmountLoans(id: string): void {
  for (const path of sharesOf(id)) {
    tryUnmount(path);
    rmdirSync(path);
  }
  if (existsSync(shareOf(id))) rmdirSync(shareOf(id));
}

function sync(path: string): void {
  using directory = open(path, fcntl.O_RDONLY | fcntl.O_DIRECTORY);
  trySyncFileSystem(directory);
}

function create({ id, spec, rootWrites, joins }: CreateRequest, root: string, console: ConsoleTarget | undefined, log: Logger) {
  const bundle = `${root}-bundles/${id}`;
  mkdirSync(bundle, { recursive: true });
  const path = rootWrites === "memory" ? overlay(bundle, spec.root?.path ?? "") : spec.root?.path;
  const joined = joins.map(({ type, container }) => ({ type, path: `/proc/${Container.open(root, container).record.pid}/ns/${type}` }));
  const linux = { ...spec.linux, namespaces: [...(spec.linux?.namespaces ?? []), ...joined] };
  writeFileSync(`${bundle}/config.json`, JSON.stringify({ ...spec, root: { ...spec.root, path }, linux }));
  const container = createContainer({
    root, id, bundle, mode: "namespace", config: NO_CONFIG, systemdCgroup: false, rootless: false, console: () => console,
    pidFile: undefined, preserveFds: 0, noPivot: false, newKeyring: true, log,
  });
  return { container, pid: container.record.pid };
}

/** Throw-away writes: they stay in the guest's memory, and go with it. */
function overlay(bundle: string, lower: string): string {
  for (const name of ["upper", "work", "rootfs"]) mkdirSync(`${bundle}/${name}`);
  mount("overlay", `${bundle}/rootfs`, "overlay", 0, `lowerdir=${lower},upperdir=${bundle}/upper,workdir=${bundle}/work`);
  return `${bundle}/rootfs`;
}

function removeBundle(bundle: string): void {
  // Not mounted where writes reach the host.
  tryUnmount(`${bundle}/rootfs`);
  rmSync(bundle, { recursive: true, force: true });
}

function tryUnmount(path: string): void {
  try {
    unmount(path, MNT_DETACH);
  } catch (error) {
    if (!isErrno(error, EINVAL, ENOENT)) throw error;
  }
}

function execute({ id, process }: Extract<Request, { kind: "exec" }>, root: string, console: ConsoleTarget | undefined, log: Logger) {
  const container = Container.open(root, id);
  const pid = execInContainer(container, {
    spec: container.spec(), process, console, pidFile: undefined, preserveFds: 0, newKeyring: false, ignorePaused: false, cgroups: [], strace: false, log,
  });
  return { container, pid };
}

interface Streams {
  readonly console: ConsoleTarget | undefined;
  /** Our ends, once the process has its own. */
  take(): { readonly input: Fd; readonly outputs: Output[]; readonly master: Fd | undefined };
}

function pipeStreams(): Streams {
  const [theirInput, input] = pipe();
  const outputs = [FRAME.data, FRAME.errorData].map((kind) => ({ kind, ends: pipe() }));
  for (const [stream, fd] of [theirInput, ...outputs.map(({ ends }) => ends[1])].entries()) {
    duplicateOnto(fd, stream);
    fd.close();
  }
  return {
    console: undefined,
    take() {
      // The process's alone from now on, so that its end is seen.
      using nothing = open("/dev/null", fcntl.O_RDWR);
      for (const stream of [0, 1, 2]) duplicateOnto(nothing, stream);
      for (const fd of [input, ...outputs.map(({ ends }) => ends[0])]) setNonBlocking(fd);
      return { input, outputs: outputs.map(({ kind, ends: [fd] }) => ({ fd, kind, ended: false })), master: undefined };
    },
  };
}

function terminalStreams(): Streams {
  const [ours, theirs] = socketPair();
  return {
    console: { socket: theirs },
    take() {
      theirs.close();
      const master = receiveMessage(ours)?.fds[0];
      ours.close();
      if (master === undefined) throw new Error("the process sent no terminal");
      setNonBlocking(master);
      return { input: master, outputs: [{ fd: master, kind: FRAME.data, ended: false }], master };
    },
  };
}
