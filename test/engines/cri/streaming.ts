/** Exec, attach and port-forward by containerd's streaming server. Source: Kubernetes, pkg/kubelet/cri/streaming; remotecommand's protocol v4.channel.k8s.io. */
import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { SpdyConnection, type SpdyStream, type Transport } from "./spdy.ts";

export interface Asked {
  readonly stdin?: boolean;
  readonly tty?: boolean;
}

/** A process, or a container's init, with its streams. With a terminal there is no stderr. */
export class RemoteCommand implements Disposable {
  readonly #connection: SpdyConnection;
  readonly stdin: SpdyStream | undefined;
  readonly stdout: SpdyStream;
  readonly stderr: SpdyStream | undefined;
  readonly #error: SpdyStream;
  readonly #resize: SpdyStream | undefined;

  private constructor(connection: SpdyConnection, { stdin = false, tty = false }: Asked) {
    const open = (streamtype: string) => connection.open({ streamtype });
    this.#connection = connection;
    this.#error = open("error");
    this.stdin = stdin ? open("stdin") : undefined;
    this.stdout = open("stdout");
    this.stderr = tty ? undefined : open("stderr");
    this.#resize = tty ? open("resize") : undefined;
  }

  /** @param network file of the network namespace in which the server is. */
  static async connect(url: string, network: string, asked: Asked): Promise<RemoteCommand> {
    return new RemoteCommand(await upgrade(url, network, "v4.channel.k8s.io"), asked);
  }

  resize(columns: number, rows: number): void {
    this.#resize?.write(JSON.stringify({ Width: columns, Height: rows }));
  }

  /** What the server has told of its failure. */
  get problem(): string {
    return this.#error.text;
  }

  /** The exit code; undefined where another reason is told, or none. */
  async exitCode(): Promise<number | undefined> {
    await this.#error.ended;
    const { status, details } = JSON.parse(this.problem || "{}") as { status?: string; details?: { causes?: { reason: string; message: string }[] } };
    if (status === "Success") return 0;
    const cause = details?.causes?.find(({ reason }) => reason === "ExitCode");
    return cause === undefined ? undefined : Number(cause.message);
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}

/** Connections to ports of a pod. */
export class PortForward implements Disposable {
  readonly #connection: SpdyConnection;
  #requests = 0;

  private constructor(connection: SpdyConnection) {
    this.#connection = connection;
  }

  static async connect(url: string, network: string): Promise<PortForward> {
    return new PortForward(await upgrade(url, network, "portforward.k8s.io"));
  }

  open(port: number): { readonly data: SpdyStream; readonly error: SpdyStream } {
    const request = { port: String(port), requestid: String(this.#requests++) };
    const error = this.#connection.open({ ...request, streamtype: "error" });
    error.end();
    return { error, data: this.#connection.open({ ...request, streamtype: "data" }) };
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}

async function upgrade(url: string, network: string, protocol: string): Promise<SpdyConnection> {
  const { host, hostname, port, pathname, search } = new URL(url);
  const transport = connectIn(network, hostname, port);
  const headers = ["Connection: Upgrade", "Upgrade: SPDY/3.1", `X-Stream-Protocol-Version: ${protocol}`, "Content-Length: 0"];
  transport.outgoing.write([`POST ${pathname}${search} HTTP/1.1`, `Host: ${host}`, ...headers, "", ""].join("\r\n"));
  return new SpdyConnection(transport, await answer(transport.incoming));
}

/** @returns what has come after the answer; the rest waits. @throws Error where the answer is not 101. */
export function answer(incoming: Readable): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let text: Buffer = Buffer.alloc(0);
    const refused = () => reject(new Error(`no upgrade: ${text.toString()}`));
    const take = (chunk: Buffer) => {
      text = Buffer.concat([text, chunk]);
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      incoming.off("data", take).pause();
      if (text.toString().startsWith("HTTP/1.1 101")) resolve(text.subarray(end + 4));
      else refused();
    };
    incoming.on("data", take);
    incoming.once("close", refused);
  });
}

/** A connection from within a network namespace, by netcat. */
export function connectIn(network: string, host: string, port: string): Transport {
  const child = spawn("nsenter", [`--net=${network}`, "busybox", "nc", host, port], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => child.kill());
  return { incoming: child.stdout, outgoing: child.stdin, close: () => child.kill() };
}
