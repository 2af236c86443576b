// Spans of the commands themselves, whose engine may be none of containerd's.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly parentSpanId?: string;
  readonly status: { readonly message?: string };
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue: string } }[];
}

let spans: Span[] = [];
const collector = createServer((request, response) => {
  let text = "";
  request.on("data", (chunk: Buffer) => (text += String(chunk)));
  request.on("end", () => {
    const { resourceSpans } = JSON.parse(text) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
    spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)));
    response.writeHead(200).end();
  });
});
let endpoint = "";
beforeAll(async () => {
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
});
afterAll(() => {
  collector.closeAllConnections();
  collector.close();
});
beforeEach(() => void (spans = []));

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

describeRuntime("tracing", ({ test, make }) => {
  test("run: a span for create and one for start, in the trace of the environment, with the pod's names", async () => {
    await using c = make({ args: ["sh", "-c", "exit 3"] });
    c.spec.annotations = { "io.kubernetes.cri.sandbox-name": "web", "io.kubernetes.cri.sandbox-namespace": "shop" };
    c.bundle.write();
    expect(await c.run({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, TRACEPARENT: `00-${TRACE}-${SPAN}-01` } })).toMatchObject({ code: 3, stderr: "" });
    expect(spans.map(({ name, traceId, parentSpanId, status }) => ({ name, traceId, parentSpanId, status }))).toEqual(["create", "start"].map((name) => ({ name, traceId: TRACE, parentSpanId: SPAN, status: {} })));
    const attributes = { "container.id": c.id, "k8s.pod.name": "web", "k8s.namespace.name": "shop" };
    for (const span of spans) expect(Object.fromEntries(span.attributes.map(({ key, value }) => [key, value.stringValue]))).toEqual(attributes);
  });

  test("create that fails: the reason; a collector that is not there is warned of, and keeps nothing from running", async () => {
    await using c = make({ args: ["/no-such-program"] });
    expect((await c.create({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } })).code).toBe(1);
    expect(spans).toMatchObject([{ name: "create", status: { code: 2, message: expect.stringContaining("/no-such-program") as string } }]);
    await using other = make({ args: ["sh", "-c", "echo out"] });
    const ran = await other.run({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" } });
    expect([ran.code, ran.stdout, ran.stderr]).toEqual([0, "out\n", expect.stringMatching(/^tssandbox: warning: http:\/\/127\.0\.0\.1:1\/v1\/traces: spans are lost: .*\n$/)]);
  });
});
