/** Tells containerd what happens, in order, by its TTRPC address; across its restarts. */
import { create, toBinary, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { AnySchema, timestampNow } from "@bufbuild/protobuf/wkt";
import { ForwardRequestSchema } from "./proto/generated/events_pb.js";
import { TtrpcClient } from "./ttrpc/client.ts";

const SERVICE = "containerd.services.events.ttrpc.v1.Events";
const TIMEOUT_MS = 5000;
const RETRY_MS = 1000;
/** While containerd is away; then the oldest are lost. */
const MOST_KEPT = 4096;

export class Publisher {
  readonly #path: string;
  readonly #namespace: string;
  readonly #complain: (message: string) => void;
  readonly #queue: Uint8Array[] = [];
  #client: TtrpcClient | undefined;
  #sending: Promise<void> | undefined;

  /** @param path of containerd's TTRPC socket. */
  constructor(path: string, namespace: string, complain: (message: string) => void) {
    this.#path = path;
    this.#namespace = namespace;
    this.#complain = complain;
  }

  /** @param topic as `/tasks/exit`. */
  publish<S extends DescMessage>(topic: string, schema: S, event: MessageInitShape<S>): void {
    const value = toBinary(schema, create(schema, event));
    const envelope = { timestamp: timestampNow(), namespace: this.#namespace, topic, event: create(AnySchema, { typeUrl: schema.typeName, value }) };
    this.#queue.push(toBinary(ForwardRequestSchema, create(ForwardRequestSchema, { envelope })));
    if (this.#queue.length > MOST_KEPT) this.#queue.shift();
    this.#sending ??= this.#send().finally(() => (this.#sending = undefined));
  }

  /** Resolves when all is told, or after `timeoutMs`. */
  async drained(timeoutMs: number): Promise<void> {
    await Promise.race([this.#sending, new Promise((resolve) => setTimeout(resolve, timeoutMs))]);
  }

  async #send(): Promise<void> {
    for (let event = this.#queue[0]; event !== undefined; event = this.#queue[0]) {
      if (await this.#forward(event)) this.#queue.shift();
      else await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #forward(event: Uint8Array): Promise<boolean> {
    if (this.#client?.isOpen !== true) this.#client = new TtrpcClient(this.#path);
    try {
      await this.#client.call(SERVICE, "Forward", event, TIMEOUT_MS);
      return true;
    } catch (error) {
      this.#complain(`an event was not taken: ${String(error)}`);
      this.#client.close();
      return false;
    }
  }
}
