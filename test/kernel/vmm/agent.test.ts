// The agent of a guest, here on the host and behind a unix socket, told what to run by a client that speaks its protocol.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FRAME, FRAME_HEADER, INPUT_WINDOW, type FromAgent, type FromHost, type NewContainer, type Question } from "../../../runtime/vm/protocol.ts";
import { statusOf } from "../../../runtime/container/status.ts";
import { Container } from "../../../runtime/container/store.ts";
import { Bundle } from "../../support/bundle.ts";
import { until } from "../../support/until.ts";

const folder = mkdtempSync(join(tmpdir(), "tssandbox-agent-"));
const path = join(folder, "agent.sock");
let agent: ChildProcess;

beforeAll(async () => {
  agent = spawn(join(import.meta.dirname, "../../../bin/tssandbox"), ["--root", join(folder, "state"), "vm", "agent", "--listen", path], { stdio: ["ignore", "ignore", "inherit"] });
  await until("the agent listens", () => existsSync(path));
});

afterAll(async () => {
  agent.kill("SIGKILL");
  await once(agent, "exit");
  rmSync(folder, { recursive: true, force: true });
});

class Client implements AsyncDisposable {
  readonly #socket: Socket = connect(path);
  readonly messages: FromAgent[] = [];
  output = "";
  errors = "";
  #received = Buffer.alloc(0);

  constructor() {
    this.#socket.on("data", (data: Buffer) => this.#take(data));
    this.#socket.on("error", () => undefined);
  }

  #take(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data]);
    while (this.#received.length >= FRAME_HEADER && this.#received.length >= FRAME_HEADER + this.#received.readUInt32LE(0)) {
      const end = FRAME_HEADER + this.#received.readUInt32LE(0);
      const content = this.#received.subarray(FRAME_HEADER, end).toString();
      const kind = this.#received[4];
      if (kind === FRAME.json) this.messages.push(JSON.parse(content) as FromAgent);
      else if (kind === FRAME.data) this.output += content;
      else this.errors += content;
      this.#received = this.#received.subarray(end);
    }
  }

  #send(kind: number, content: Buffer): void {
    const header = Buffer.alloc(FRAME_HEADER);
    header.writeUInt32LE(content.length);
    header[4] = kind;
    this.#socket.write(Buffer.concat([header, content]));
  }

  say(message: FromHost): void {
    this.#send(FRAME.json, Buffer.from(JSON.stringify(message)));
  }

  input(content: Buffer): void {
    this.#send(FRAME.data, content);
  }

  async expect<K extends FromAgent["kind"]>(kind: K): Promise<Extract<FromAgent, { kind: K }>> {
    const found = () => this.messages.find((message) => message.kind === kind || message.kind === "failed");
    await until(kind, () => found() !== undefined);
    const message = found();
    if (message?.kind !== kind) throw new Error(JSON.stringify(message));
    return message as Extract<FromAgent, { kind: K }>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.closed) return;
    this.#socket.destroy();
    await once(this.#socket, "close");
  }
}

const fresh = { time: Date.now(), seed: Buffer.alloc(64, 1).toString("base64") };

async function created(client: Client, bundle: Bundle, rootWrites: "memory" | "host" = "host", joins: NewContainer["joins"] = [], stays = false): Promise<void> {
  client.say({ kind: "create", id: bundle.id, spec: { ...bundle.spec, root: { path: bundle.rootfs } } as never, rootWrites, loans: {}, network: [], stays, joins, ...fresh });
  await client.expect("created");
}

test("a container runs: output, errors, exit code", async () => {
  using bundle = new Bundle({ args: ["sh", "-c", "echo out; echo err >&2; exit 7"] });
  await using client = new Client();
  await created(client, bundle);
  expect(client.output).toBe("");
  client.say({ kind: "start" });
  expect(await client.expect("exited")).toEqual({ kind: "exited", code: 7 });
  expect([client.output, client.errors]).toEqual(["out\n", "err\n"]);
});

test("standard input ends where the host ends it, and more than its window is taken piece by piece", async () => {
  using bundle = new Bundle({ args: ["sh", "-c", "wc -c"] });
  await using client = new Client();
  await created(client, bundle);
  client.say({ kind: "start" });
  client.input(Buffer.alloc(INPUT_WINDOW, 97));
  const taken = () => client.messages.reduce((sum, message) => sum + (message.kind === "input-taken" ? message.bytes : 0), 0);
  await until("input taken", () => taken() === INPUT_WINDOW);
  client.input(Buffer.alloc(1000, 97));
  client.say({ kind: "input-end" });
  expect(await client.expect("exited")).toEqual({ kind: "exited", code: 0 });
  expect(client.output.trim()).toBe(String(INPUT_WINDOW + 1000));
});

test("a signal reaches the process, and how it ended is told", async () => {
  using bundle = new Bundle({ args: ["sh", "-c", "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.05; done"] });
  await using client = new Client();
  await created(client, bundle);
  client.say({ kind: "start" });
  await until("output", () => client.output === "ready\n");
  await using other = new Client();
  other.say({ kind: "exec", id: bundle.id, process: { args: ["/bin/sh", "-c", "kill -9 $$"], cwd: "/", user: { uid: 0, gid: 0 } }, ...fresh });
  expect(await other.expect("signaled")).toEqual({ kind: "signaled", signal: 9 });
  client.say({ kind: "signal", signal: 15 });
  expect(await client.expect("exited")).toEqual({ kind: "exited", code: 3 });
  expect(client.output).toBe("ready\ncaught\n");
});

test("a signal to all reaches every process of the container", async () => {
  using bundle = new Bundle({ args: ["sh", "-c", "(trap 'echo child; exit 0' TERM; echo ready; while :; do sleep 0.05; done) & trap 'wait $!; echo first; exit 3' TERM; wait $!; wait $!; exit 4"] });
  await using client = new Client();
  await created(client, bundle);
  client.say({ kind: "start" });
  await until("output", () => client.output === "ready\n");
  expect(await ask(bundle, { do: "kill-all", signal: 15 })).toBe(null);
  expect(await client.expect("exited")).toEqual({ kind: "exited", code: 3 });
  expect(client.output).toBe("ready\nchild\nfirst\n");
});

test("a terminal: its size, its input, and that it is one", async () => {
  using bundle = new Bundle({ args: ["sh", "-c", "tty; read line; stty size; echo got $line"], edit: (spec) => (spec.process!.terminal = true) });
  await using client = new Client();
  await created(client, bundle);
  client.say({ kind: "resize", rows: 31, columns: 97 });
  client.say({ kind: "start" });
  await until("output", () => client.output.includes("/dev/pts/"));
  client.input(Buffer.from("word\n"));
  await client.expect("exited");
  expect(client.output).toMatch(/\/dev\/pts\/0\r\n(word\r\n)?31 97\r\ngot word\r\n$/);
});

test("throw-away writes leave the lent root as it was", async () => {
  using bundle = new Bundle({ args: ["sh", "-c", "echo new >/file; cat /file"] });
  await using client = new Client();
  await created(client, bundle, "memory");
  client.say({ kind: "start" });
  await client.expect("exited");
  expect(client.output).toBe("new\n");
  expect(existsSync(join(bundle.rootfs, "file"))).toBe(false);
});

test("what cannot be made is told, and the agent goes on", async () => {
  using bundle = new Bundle({ args: ["/no/such/program"] });
  await using client = new Client();
  client.say({ kind: "create", id: bundle.id, spec: { ...bundle.spec, root: { path: bundle.rootfs } } as never, rootWrites: "host", loans: {}, network: [], stays: false, joins: [], ...fresh });
  await until("an answer", () => client.messages.length > 0);
  expect(client.messages[0]).toEqual({ kind: "failed", message: expect.stringContaining("/no/such/program") });
});

test("a container ends with the host's connection", async () => {
  using bundle = new Bundle({ args: ["sleep", "1000"] });
  {
    await using client = new Client();
    await created(client, bundle);
    client.say({ kind: "start" });
    await client.expect("started");
    expect(existsSync(join(folder, "state", bundle.id))).toBe(true);
  }
  await until("removed", () => !existsSync(join(folder, "state", bundle.id)));
});

async function ask(bundle: Bundle, question: Question): Promise<unknown> {
  await using client = new Client();
  client.say({ kind: "ask", id: bundle.id, question });
  return JSON.parse((await client.expect("answer")).text);
}

test("questions about a container: its processes, its figures, frozen and thawed, new limits", async () => {
  using bundle = new Bundle({ args: ["sh", "-c", "echo ready; sleep 1000"] });
  await using client = new Client();
  await created(client, bundle);
  client.say({ kind: "start" });
  await until("output", () => client.output === "ready\n");
  expect(await ask(bundle, { do: "processes" })).toEqual(expect.arrayContaining([{ pid: expect.any(Number), parent: expect.any(Number), uid: 0, command: expect.stringMatching("sleep 1000$") }]));
  expect(await ask(bundle, { do: "stats" })).toMatchObject({ pids: { current: expect.any(Number) } });
  expect(await ask(bundle, { do: "freeze" })).toBe(null);
  expect(statusIn(bundle)).toBe("paused");
  expect(await ask(bundle, { do: "thaw" })).toBe(null);
  expect(statusIn(bundle)).toBe("running");
  expect(await ask(bundle, { do: "update", resources: { pids: { limit: 77 } } })).toBe(null);
  expect(await ask(bundle, { do: "stats" })).toMatchObject({ pids: { limit: 77 } });
});

const statusIn = ({ id }: Bundle) => statusOf(Container.open(join(folder, "state"), id));

test("a container joins namespaces of another's", async () => {
  using first = new Bundle({ args: ["sh", "-c", "echo ready; sleep 1000"], edit: (spec) => (spec.hostname = "the-first") });
  using second = new Bundle({
    args: ["sh", "-c", "hostname"],
    edit: (spec) => {
      delete spec.hostname;
      spec.linux!.namespaces = spec.linux!.namespaces!.filter(({ type }) => type !== "uts");
    },
  });
  await using client = new Client();
  await created(client, first);
  client.say({ kind: "start" });
  await until("output", () => client.output === "ready\n");
  await using other = new Client();
  await created(other, second, "host", [{ type: "uts", container: first.id }]);
  other.say({ kind: "start" });
  await other.expect("exited");
  expect(other.output).toBe("the-first\n");
});

test("a process that is killed for want of memory is told of", async () => {
  using bundle = new Bundle({ args: ["sh", "-c", "read go; tail /dev/zero; echo $?"], edit: (spec) => (spec.linux!.resources = { memory: { limit: 24 << 20 } }) });
  await using client = new Client();
  await created(client, bundle);
  client.say({ kind: "start" });
  await using watch = new Client();
  watch.say({ kind: "ask", id: bundle.id, question: { do: "watch-oom" } });
  await watch.expect("answer");
  client.input(Buffer.from("go\n"));
  await watch.expect("oom");
  await client.expect("exited");
  expect(client.output).toBe("137\n");
});

/** Starts a container that prints "before", has it stand still as for a snapshot, and gives it a host of another name. @returns that one's connection. */
async function restored(bundle: Bundle): Promise<Client> {
  {
    await using client = new Client();
    await created(client, bundle, "host", [], true);
    client.say({ kind: "start" });
    await until("output", () => client.output === "before\n");
    expect(await ask(bundle, { do: "freeze" })).toBe(null);
  }
  const next = new Client();
  next.say({ kind: "adopt", id: bundle.id, hostname: "restored", network: [], ...fresh });
  await next.expect("created");
  return next;
}

test("a container that stays outlives its connection, stands still until its next host starts it, and has that one's name for it", async () => {
  using bundle = new Bundle({ args: ["sh", "-c", "echo before; read line; echo after $line; hostname"], edit: (spec) => (spec.hostname = "saved") });
  await using next = await restored(bundle);
  expect(statusIn(bundle)).toBe("paused");
  next.say({ kind: "start" });
  await next.expect("started");
  next.input(Buffer.from("all\n"));
  expect(await next.expect("exited")).toEqual({ kind: "exited", code: 0 });
  expect(next.output).toBe("after all\nrestored\n");
});

const MACHINE_ID = "0123456789abcdef0123456789abcdef\n";

/** What the container finds in /etc/machine-id after it was saved and given another host. @param volume whether the file is a mount of its own. */
async function idAfterRestore(volume: boolean): Promise<string> {
  const source = join(folder, "machine-id");
  writeFileSync(source, MACHINE_ID);
  const mount = { destination: "/etc/machine-id", type: "bind", source, options: ["rbind", "rw"] };
  using bundle = new Bundle({
    args: ["sh", "-c", "echo before; read line; cat /etc/machine-id"],
    edit: (spec) => {
      spec.root!.readonly = false;
      if (volume) spec.mounts!.push(mount);
    },
  });
  mkdirSync(join(bundle.rootfs, "etc"), { recursive: true });
  writeFileSync(join(bundle.rootfs, "etc/machine-id"), volume ? "" : MACHINE_ID);
  await using next = await restored(bundle);
  next.say({ kind: "start" });
  await next.expect("started");
  next.input(Buffer.from("go\n"));
  await next.expect("exited");
  return next.output;
}

test("a clone has a machine id of its own, but for one that is a volume's", async () => {
  const own = await idAfterRestore(false);
  expect(own).toMatch(/^[0-9a-f]{32}\n$/);
  expect(own).not.toBe(MACHINE_ID);
  expect(await idAfterRestore(true)).toBe(MACHINE_ID);
});
