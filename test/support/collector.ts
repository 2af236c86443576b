/** A collector of OpenTelemetry spans, on a port of the loopback device: those that came as JSON, and the bodies of all other requests. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** What is read of a span in an ExportTraceServiceRequest. Source: opentelemetry-proto, opentelemetry/proto/trace/v1/trace.proto. */
export interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly parentSpanId?: string;
  readonly status: { readonly message?: string };
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue: string } }[];
}

export class Collector implements Disposable {
  readonly spans: Span[] = [];
  readonly others: Buffer[] = [];
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      this.#take(request.headers["content-type"], Buffer.concat(chunks));
      response.writeHead(200).end();
    });
  });

  static async start(): Promise<Collector> {
    const collector = new Collector();
    await new Promise<void>((resolve) => collector.#server.listen(0, "127.0.0.1", resolve));
    return collector;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #take(type: string | undefined, body: Buffer): void {
    if (type !== "application/json") return void this.others.push(body);
    const { resourceSpans } = JSON.parse(body.toString()) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
    this.spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)));
  }

  [Symbol.dispose](): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
