import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { endpointOf, headersOf } from "./otlp.ts";
import { parseParent } from "./parent.ts";
import { Tracing } from "./tracing.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

interface Received {
  readonly path: string | undefined;
  readonly header: string | undefined;
  readonly body: { resourceSpans: [{ scopeSpans: [{ spans: Record<string, unknown>[] }] }] };
}

let server: Server;
let received: Received[];
let status: number;
let complaints: string[];
let tracing: Tracing;
beforeEach(async () => {
  [received, complaints, status] = [[], [], 200];
  server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += String(chunk)));
    request.on("end", () => {
      received.push({ path: request.url, header: request.headers["x-key"] as string | undefined, body: JSON.parse(text) as Received["body"] });
      response.writeHead(status).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  tracing = new Tracing((message) => complaints.push(message));
});
afterEach(() => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  server.close();
});

const address = (host = "localhost") => `http://${host}:${(server.address() as AddressInfo).port}`;
const spans = () => received.flatMap(({ body }) => body.resourceSpans[0].scopeSpans[0].spans);
const about = (...parents: (string | undefined)[]) => () => ({ attributes: { "container.id": "abc" }, parents });

test("what was done and what failed arrive together, within their trace", async () => {
  vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", `${address()}/`);
  vi.stubEnv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b");
  expect(await tracing.span("create", undefined, about(undefined, "nonsense", `00-${TRACE}-${SPAN}-01`), () => Promise.resolve(7))).toBe(7);
  await expect(tracing.span("start", undefined, about(), () => Promise.reject(new Error("no such program")))).rejects.toThrow("no such program");
  await tracing.drained(10_000);
  expect(received).toMatchObject([{ path: "/v1/traces", header: "a b" }]);
  const [first, second] = spans();
  expect(first).toMatchObject({ name: "create", traceId: TRACE, parentSpanId: SPAN, kind: 2, status: {}, attributes: [{ key: "container.id", value: { stringValue: "abc" } }] });
  expect(BigInt(String(first?.["endTimeUnixNano"]))).toBeGreaterThanOrEqual(BigInt(String(first?.["startTimeUnixNano"])));
  expect(second).toMatchObject({ name: "start", status: { code: 2, message: "no such program" } });
  expect(second?.["traceId"]).toMatch(/^[0-9a-f]{32}$/);
  expect(second).not.toHaveProperty("parentSpanId");
});

test("without being asked for; the configured collector; a trace that nobody records", async () => {
  await tracing.span("one", address("127.0.0.1"), about(), () => Promise.resolve());
  await tracing.span("two", address("127.0.0.1"), about(`00-${TRACE}-${SPAN}-00`), () => Promise.resolve());
  await vi.waitFor(() => expect(spans().map(({ name }) => name)).toEqual(["one"]), { timeout: 10_000 });
});

const never = () => {
  throw new Error("asked");
};

test("no collector: nothing is asked, nothing sent", async () => {
  expect(await tracing.span("create", undefined, never, () => Promise.resolve(1))).toBe(1);
  await tracing.drained(10_000);
  expect(received).toEqual([]);
});

test("a collector that refuses, and one that is not there: the call goes on, and it is told once", async () => {
  status = 503;
  for (let n = 0; n < 2; n++) {
    await tracing.span("create", address(), about(), () => Promise.resolve());
    await tracing.drained(10_000);
  }
  expect(complaints).toEqual([`${address()}/v1/traces: spans are lost: answered 503`]);
  await tracing.span("create", "http://127.0.0.1:1", about(), () => Promise.resolve());
  await tracing.drained(10_000);
  expect(complaints[1]).toMatch(/ECONNREFUSED/);
});

test("where the environment says that spans go", () => {
  expect(endpointOf({}, undefined)).toBeUndefined();
  expect(endpointOf({}, "http://c:4318")?.href).toBe("http://c:4318/v1/traces");
  expect(endpointOf({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://e:4318" }, "http://c:4318")?.href).toBe("http://e:4318/v1/traces");
  expect(endpointOf({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://t/x" }, undefined)?.href).toBe("https://t/x");
  expect(endpointOf({ OTEL_SDK_DISABLED: "true" }, "http://c:4318")).toBeUndefined();
  expect(() => endpointOf({ OTEL_EXPORTER_OTLP_ENDPOINT: "unix:///x" }, undefined)).toThrow("http or https");
  expect(headersOf({ OTEL_EXPORTER_OTLP_HEADERS: "a=1, b=x=y,," })).toEqual({ a: "1", b: "x=y" });
});

test("a traceparent, and what is none", () => {
  expect(parseParent(`00-${TRACE}-${SPAN}-01`)).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true });
  for (const text of [undefined, "", `ff-${TRACE}-${SPAN}-01`, `00-${"0".repeat(32)}-${SPAN}-01`, `00-${TRACE}-${"0".repeat(16)}-01`, `00-${TRACE}-${SPAN}`]) expect(parseParent(text)).toBeUndefined();
});
