/**
 * Spans on their way to a collector: OTLP over HTTP, as JSON. Sources: opentelemetry-proto, opentelemetry/proto/trace/v1/trace.proto;
 * opentelemetry.io, "OTLP Specification" (OTLP/HTTP, JSON Protobuf Encoding), "OTLP Exporter Configuration".
 */
import type { RequestOptions } from "node:http";
import type { LookupFunction } from "node:net";
import process from "node:process";
import { VERSION } from "../version.ts";

export type Attributes = Readonly<Record<string, string>>;

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** Nanoseconds since 1970. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Attributes;
  /** What it failed with. */
  readonly error: string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The collector's address for spans. @param configured which the environment goes before. @returns undefined where there is none. @throws Error for none of HTTP's. */
export function endpointOf(env: Environment, configured: string | undefined): URL | undefined {
  if (env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true") return undefined;
  const own = env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
  const base = env["OTEL_EXPORTER_OTLP_ENDPOINT"] || configured;
  const text = own || (base ? `${base.replace(/\/+$/, "")}/v1/traces` : "");
  if (text === "") return undefined;
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new Error(`${text}: OTLP goes over http or https here`);
  return url;
}

/** `NAME=VALUE,NAME=VALUE`, percent-encoded. */
export function headersOf(env: Environment): Record<string, string> {
  const text = env["OTEL_EXPORTER_OTLP_TRACES_HEADERS"] ?? env["OTEL_EXPORTER_OTLP_HEADERS"] ?? "";
  const pairs = text.split(",").map((pair) => pair.split(/=(.*)/s, 2).map((part) => decodeURIComponent(part.trim())));
  return Object.fromEntries(pairs.filter(([name, value]) => name && value !== undefined) as [string, string][]);
}

const attributesOf = (attributes: Attributes) => Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } }));

const SERVER = 2;
const FAILED = 2;

/** An ExportTraceServiceRequest. */
export function encodeSpans(spans: readonly Span[], service: string): string {
  const encoded = spans.map(({ start, end, attributes, error, ...span }) => ({
    ...span,
    kind: SERVER,
    startTimeUnixNano: String(start),
    endTimeUnixNano: String(end),
    attributes: attributesOf(attributes),
    status: error === undefined ? {} : { code: FAILED, message: error },
  }));
  const scopeSpans = [{ scope: { name: "tssandbox", version: VERSION }, spans: encoded }];
  return JSON.stringify({ resourceSpans: [{ resource: { attributes: attributesOf({ "service.name": service, "service.version": VERSION }) }, scopeSpans }] });
}

const TIMEOUT_MS = 5000;

/** @throws Error where the collector does not take it. */
export async function post(url: URL, body: string): Promise<void> {
  const { request } = url.protocol === "https:" ? await import("node:https") : await import("node:http");
  const headers = { ...headersOf(process.env), "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) };
  const options: RequestOptions = { method: "POST", headers, agent: false, timeout: TIMEOUT_MS, lookup: await resolver() };
  const status = await new Promise<number>((resolve, reject) => {
    const sent = request(url, options, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer")));
    sent.on("error", reject);
    sent.end(body);
  });
  if (status < 200 || status > 299) throw new Error(`answered ${status}`);
}

/** Not getaddrinfo(3): Node calls it in a thread, and whoever forks is to have none. So names in /etc/hosts are not known, but for localhost. */
async function resolver(): Promise<LookupFunction> {
  const { resolve4, resolve6 } = await import("node:dns");
  return (name, { all }, done) => {
    const found = (family: 4 | 6, addresses: readonly string[]) => (all === true ? done(null, addresses.map((address) => ({ address, family }))) : done(null, addresses[0] ?? "", family));
    if (name === "localhost") return found(4, ["127.0.0.1"]);
    resolve4(name, (none, addresses) => {
      if (none === null) return found(4, addresses);
      resolve6(name, (error, addresses) => (error === null ? found(6, addresses) : done(error, "", 0)));
    });
  };
}
