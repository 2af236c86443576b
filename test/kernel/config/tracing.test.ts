// Spans of the commands themselves, whose engine may be none of containerd's.
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import { Collector } from "../../support/collector.ts";
import { describeRuntime } from "../../support/contract.ts";

let collector: Collector;
beforeAll(async () => void (collector = await Collector.start()));
afterAll(() => collector[Symbol.dispose]());
beforeEach(() => void (collector.spans.length = 0));

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

describeRuntime("tracing", ({ test, make }) => {
  test("run: a span for create and one for start, in the trace of the environment, with the pod's names", async () => {
    await using c = make({ args: ["sh", "-c", "exit 3"] });
    c.spec.annotations = { "io.kubernetes.cri.sandbox-name": "web", "io.kubernetes.cri.sandbox-namespace": "shop" };
    c.bundle.write();
    expect(await c.run({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, TRACEPARENT: `00-${TRACE}-${SPAN}-01` } })).toMatchObject({ code: 3, stderr: "" });
    expect(collector.spans.map(({ name, traceId, parentSpanId, status }) => ({ name, traceId, parentSpanId, status }))).toEqual(["create", "start"].map((name) => ({ name, traceId: TRACE, parentSpanId: SPAN, status: {} })));
    const attributes = { "container.id": c.id, "k8s.pod.name": "web", "k8s.namespace.name": "shop" };
    for (const span of collector.spans) expect(Object.fromEntries(span.attributes.map(({ key, value }) => [key, value.stringValue]))).toEqual(attributes);
  });

  test("create that fails: the reason; a collector that is not there is warned of, and keeps nothing from running", async () => {
    await using c = make({ args: ["/no-such-program"] });
    expect((await c.create({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint } })).code).toBe(1);
    expect(collector.spans).toMatchObject([{ name: "create", status: { code: 2, message: expect.stringContaining("/no-such-program") as string } }]);
    await using other = make({ args: ["sh", "-c", "echo out"] });
    const ran = await other.run({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" } });
    expect([ran.code, ran.stdout, ran.stderr]).toEqual([0, "out\n", expect.stringMatching(/^tssandbox: warning: http:\/\/127\.0\.0\.1:1\/v1\/traces: spans are lost: .*\n$/)]);
  });
});
