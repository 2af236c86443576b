/** Exec by a WebSocket, as a kubelet's clients may. Sources: RFC 6455; Kubernetes, apimachinery/pkg/util/httpstream/wsstream, "v4.channel.k8s.io". */
import { randomBytes } from "node:crypto";
import { answer, connectIn } from "./streaming.ts";
import type { Transport } from "./spdy.ts";

export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3 } as const;

const BINARY = 0x82;
const CLOSE = 8;
const MASKED = 0x80;

export class WebSocketCommand implements Disposable {
  readonly #transport: Transport;
  readonly #texts = new Map<number, string>();
  #rest: Buffer = Buffer.alloc(0);
  /** The server has closed it. */
  readonly ended: Promise<void>;

  private constructor(transport: Transport, begun: Buffer) {
    this.#transport = transport;
    this.ended = new Promise((resolve) => {
      const take = (chunk: Buffer) => this.#take(chunk) && resolve();
      take(begun);
      transport.incoming.on("data", take).resume();
      transport.incoming.once("close", resolve);
    });
  }

  /** @param network file of the network namespace in which the server is. */
  static async connect(url: string, network: string): Promise<WebSocketCommand> {
    const { host, hostname, port, pathname, search } = new URL(url);
    const transport = connectIn(network, hostname, port);
    const key = randomBytes(16).toString("base64");
    const headers = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${key}`, "Sec-WebSocket-Protocol: v4.channel.k8s.io", `Origin: http://${host}`];
    transport.outgoing.write([`GET ${pathname}${search} HTTP/1.1`, `Host: ${host}`, ...headers, "", ""].join("\r\n"));
    return new WebSocketCommand(transport, await answer(transport.incoming));
  }

  text(channel: number): string {
    return this.#texts.get(channel) ?? "";
  }

  /** At most 124 bytes: longer frames have another form. Masked by nothing, which the RFC allows to whoever needs no protection. */
  write(text: string): void {
    const payload = Buffer.from([CHANNEL.stdin, ...Buffer.from(text)]);
    this.#transport.outgoing.write(Buffer.concat([Buffer.from([BINARY, MASKED | payload.length, 0, 0, 0, 0]), payload]));
  }

  /** @returns whether it was closed. */
  #take(chunk: Buffer): boolean {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) {
      if (frame.opcode === CLOSE) return true;
      const [channel = 0] = frame.payload;
      this.#texts.set(channel, this.text(channel) + frame.payload.subarray(1).toString());
    }
    return false;
  }

  #next(): { readonly opcode: number; readonly payload: Buffer } | undefined {
    const short = this.#rest[1] ?? 0;
    const header = short < 126 ? 2 : 4;
    if (this.#rest.length < header) return undefined;
    const length = short < 126 ? short : this.#rest.readUInt16BE(2);
    if (this.#rest.length < header + length) return undefined;
    const frame = { opcode: (this.#rest[0] ?? 0) & 0xf, payload: this.#rest.subarray(header, header + length) };
    this.#rest = this.#rest.subarray(header + length);
    return frame;
  }

  [Symbol.dispose](): void {
    this.#transport.close();
  }
}
