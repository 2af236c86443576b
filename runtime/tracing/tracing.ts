/** What is done, as spans, if there is a collector for them. */
import { randomBytes } from "node:crypto";
import process from "node:process";
import { messageOf } from "../../linux/errors.ts";
import { encodeSpans, endpointOf, post, type Attributes, type Span } from "./otlp.ts";
import { parseParent } from "./parent.ts";

/** What is known at a span's end. */
export interface About {
  readonly attributes: Attributes;
  /** Of the caller, and what else may say it: the first that there is counts. */
  readonly parents: readonly (string | undefined)[];
}

/** How long a span waits for others to go with it. */
const COLLECT_MS = 200;
/** More are lost than what a collector that does not answer keeps waiting. */
const MOST_KEPT = 256;

export class Tracing {
  readonly #complain: (message: string) => void;
  readonly #waiting = new Map<string, Span[]>();
  #sending: Promise<void> = Promise.resolve();
  /** What was told of last. */
  #problem = "";

  constructor(complain: (message: string) => void) {
    this.#complain = complain;
  }

  /** Does `action`. @param configured the collector's address, unless the environment has one. @param about is asked only where there is a collector. */
  async span<T>(name: string, configured: string | undefined, about: () => About, action: () => Promise<T>): Promise<T> {
    const url = this.#endpoint(configured);
    if (url === undefined) return await action();
    const [started, clock] = [BigInt(Date.now()) * 1_000_000n, process.hrtime.bigint()];
    const ended = (error: string | undefined) => this.#record(url, name, { start: started, end: started + process.hrtime.bigint() - clock, error }, about);
    try {
      const result = await action();
      ended(undefined);
      return result;
    } catch (error) {
      ended(messageOf(error));
      throw error;
    }
  }

  /** Resolves when all is sent, or after `timeoutMs`. */
  async drained(timeoutMs: number): Promise<void> {
    await Promise.race([this.#flush(), new Promise((resolve) => setTimeout(resolve, timeoutMs))]);
  }

  #endpoint(configured: string | undefined): string | undefined {
    try {
      return endpointOf(process.env, configured)?.href;
    } catch (error) {
      this.#tell(messageOf(error));
      return undefined;
    }
  }

  #record(url: string, name: string, { start, end, error }: Pick<Span, "start" | "end" | "error">, about: () => About): void {
    const { attributes, parents } = about();
    const parent = parents.map(parseParent).find((one) => one !== undefined);
    if (parent?.sampled === false) return;
    const spans = this.#waiting.get(url) ?? [];
    if (spans.length >= MOST_KEPT) return;
    spans.push({ traceId: parent?.traceId ?? randomBytes(16).toString("hex"), spanId: randomBytes(8).toString("hex"), parentSpanId: parent?.spanId, name, start, end, attributes, error });
    if (this.#waiting.size === 0) setTimeout(() => void this.#flush(), COLLECT_MS);
    this.#waiting.set(url, spans);
  }

  #flush(): Promise<void> {
    const batches = [...this.#waiting];
    this.#waiting.clear();
    for (const [url, spans] of batches) this.#sending = this.#sending.then(() => this.#send(url, spans));
    return this.#sending;
  }

  async #send(url: string, spans: readonly Span[]): Promise<void> {
    try {
      await post(new URL(url), encodeSpans(spans, process.env["OTEL_SERVICE_NAME"] || "tssandbox"));
      this.#problem = "";
    } catch (error) {
      this.#tell(`${url}: spans are lost: ${messageOf(error)}`);
    }
  }

  #tell(problem: string): void {
    if (problem !== this.#problem) this.#complain(problem);
    this.#problem = problem;
  }
}
