/** Spans of the shim arrive at a collector, within those that containerd 2 itself sends there. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Containerd } from "./containerd.ts";
import { BUSYBOX } from "./images.ts";
import { fetchContainerd2 } from "./newer.ts";
import { ownShim } from "./shim-driver.ts";
import { eventually } from "./support.ts";

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly parentSpanId?: string;
  readonly status: { readonly message?: string };
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue: string } }[];
}

/** The shim's. */
const spans: Span[] = [];
/** containerd's, as they come. */
const others: Buffer[] = [];
let collector: Server;
let containerd: Containerd;

beforeAll(async () => {
  collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      if (request.headers["content-type"] === "application/json") spans.push(...spansIn(body));
      else others.push(body);
      response.writeHead(200).end();
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  const { port } = collector.address() as AddressInfo;
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf", OTEL_BSP_SCHEDULE_DELAY: "200" };
  containerd = await Containerd.startFor({ ...ownShim("namespace"), binaries: await fetchContainerd2(), env }, BUSYBOX);
});
afterAll(async () => {
  await containerd?.[Symbol.asyncDispose]();
  collector.closeAllConnections();
  collector.close();
});

const spansIn = (body: Buffer) => (JSON.parse(body.toString()) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] }).resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));

const spanOf = (name: string, id: string) => eventually(`${name} of ${id} is told`, () => spans.find((span) => span.name === name && span.attributes.some(({ value }) => value.stringValue === id)), 30);

test("create and start, in the trace of whoever asked", async () => {
  expect((await containerd.run("traced", BUSYBOX, [], ["true"])).code).toBe(0);
  const [made, started] = [await spanOf("create", "traced"), await spanOf("start", "traced")];
  expect(made.status).toEqual({});
  expect(made.parentSpanId).toMatch(/^[0-9a-f]{16}$/);
  for (const { traceId } of [made, started]) await eventually("containerd tells of the same trace", () => others.some((body) => body.includes(Buffer.from(traceId, "hex"))), 30);
});

test("what fails says why", async () => {
  expect((await containerd.run("failing", BUSYBOX, [], ["no-such-program"])).code).not.toBe(0);
  expect((await spanOf("create", "failing")).status.message).toMatch(/no-such-program/);
});
