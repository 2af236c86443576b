/** Spans of the shim arrive at a collector, within those that containerd 2 itself sends there. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Collector } from "../support/collector.ts";
import { Containerd } from "./containerd.ts";
import { BUSYBOX } from "./images.ts";
import { fetchContainerd2 } from "./newer.ts";
import { ownShim } from "./shim-driver.ts";
import { eventually } from "./support.ts";

let collector: Collector;
let containerd: Containerd;

beforeAll(async () => {
  collector = await Collector.start();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf", OTEL_BSP_SCHEDULE_DELAY: "200" };
  containerd = await Containerd.startFor({ ...ownShim("namespace"), binaries: await fetchContainerd2(), env }, BUSYBOX);
});
afterAll(async () => {
  await containerd?.[Symbol.asyncDispose]();
  collector?.[Symbol.dispose]();
});

const spanOf = (name: string, id: string) => eventually(`${name} of ${id} is told`, () => collector.spans.find((span) => span.name === name && span.attributes.some(({ value }) => value.stringValue === id)), 30);

// containerd 2 sends its own as protobuf.
test("create and start, in the trace of whoever asked", async () => {
  expect((await containerd.run("traced", BUSYBOX, [], ["true"])).code).toBe(0);
  const [made, started] = [await spanOf("create", "traced"), await spanOf("start", "traced")];
  expect(made.status).toEqual({});
  expect(made.parentSpanId).toMatch(/^[0-9a-f]{16}$/);
  for (const { traceId } of [made, started]) await eventually("containerd tells of the same trace", () => collector.others.some((body) => body.includes(Buffer.from(traceId, "hex"))), 30);
});

test("what fails says why", async () => {
  expect((await containerd.run("failing", BUSYBOX, [], ["no-such-program"])).code).not.toBe(0);
  expect((await spanOf("create", "failing")).status.message).toMatch(/no-such-program/);
});
