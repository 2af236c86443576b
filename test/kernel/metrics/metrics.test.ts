// Metrics and `ps --all`, of containers with a pod's annotations.
import { existsSync } from "node:fs";
import { request } from "node:http";
import { expect } from "vitest";
import type { Container } from "../../support/container.ts";
import { describeRuntime } from "../../support/contract.ts";
import { until } from "../../support/until.ts";

const POD = { "io.kubernetes.cri.sandbox-name": 'web"0', "io.kubernetes.cri.sandbox-namespace": "shop", "io.kubernetes.cri.container-name": "nginx" };

function inPod(make: (options: object) => Container): Container {
  const c = make({ args: ["sh", "-c", "uname -r; exec sleep 1019"] });
  c.spec.annotations = POD;
  c.bundle.write();
  return c;
}

/** A page by HTTP. */
const get = (socketPath: string, path: string, method = "GET"): Promise<{ status: number; type: string; body: string }> =>
  new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", body }));
    });
    sent.on("error", reject).end();
  });

/** The value of the sample whose line has all of these. */
function sample(page: string, ...parts: readonly string[]): number {
  const found = page.split("\n").find((line) => parts.every((part) => line.includes(part)));
  if (found === undefined) throw new Error(`no sample with ${parts.join(", ")} in\n${page}`);
  return Number(found.slice(found.lastIndexOf(" ") + 1));
}

describeRuntime("metrics", ({ test, make }) => {
  test("tell of a sandbox: its tasks, memory, calls, files, and how long its creation took", async () => {
    await using c = inPod(make);
    await c.mustBegin({ global: ["--mode", "sentry"] });
    let page = await c.call("metrics", []).result();
    await until("its first trapped call", async () => (page = await c.call("metrics", []).result()).stdout.includes(`call="uname"`));
    expect(page).toMatchObject({ code: 0, stderr: "" });
    const own = `id="${c.id}",container="nginx",pod="web\\"0",namespace="shop"`;
    expect(sample(page.stdout, "tssandbox_container_info{", own, `mode="sentry"`, `status="running"`, `policy="`)).toBe(1);
    expect(sample(page.stdout, "tssandbox_tasks{", own)).toBe(1);
    expect(sample(page.stdout, "tssandbox_memory_bytes{", own)).toBeGreaterThan(0);
    expect(sample(page.stdout, "tssandbox_sandbox_memory_bytes{", own, `process="sentry"`)).toBeGreaterThan(1 << 20);
    expect(sample(page.stdout, "tssandbox_trapped_calls_total{", own, `class="`)).toBeGreaterThan(0);
    expect(page.stdout).not.toContain(`class="unknown"`);
    expect(sample(page.stdout, "tssandbox_gofer_operations_total{", own, `connection="root"`, `operation="LOOKUP"`)).toBeGreaterThan(0);
    expect(sample(page.stdout, `tssandbox_create_seconds_count{mode="sentry"}`)).toBeGreaterThanOrEqual(1);
    // Every line is a comment or a sample.
    for (const line of page.stdout.trim().split("\n")) expect(line).toMatch(/^(# (HELP|TYPE) tssandbox_\w+ .+|tssandbox_\w+(\{.+\})? [-+.\de]+)$/);
  });

  test("are served at a socket, and nothing else is", async () => {
    await using c = inPod(make);
    const socket = c.bundle.path("metrics.sock");
    const server = c.call("metrics", [], { flags: ["--listen", `unix:${socket}`] });
    await until("it listens", () => existsSync(socket));
    const before = await get(socket, "/metrics");
    expect(before).toMatchObject({ status: 200, type: "text/plain; version=0.0.4; charset=utf-8" });
    expect(before.body).not.toContain(c.id);
    await c.mustBegin({ global: ["--mode", "namespace"] });
    const count = () => get(socket, "/metrics").then(({ body }) => sample(body, `tssandbox_create_seconds_count{mode="namespace"}`));
    const first = await count();
    expect(first).toBeGreaterThanOrEqual(1);
    expect((await get(socket, "/metrics")).body).toContain(`tssandbox_tasks{id="${c.id}"`);
    expect((await get(socket, "/")).status).toBe(404);
    expect((await get(socket, "/metrics", "POST")).status).toBe(405);
    process.kill(await server.pid, "SIGTERM");
    expect(await server.result()).toMatchObject({ code: 0 });
    expect(existsSync(socket)).toBe(false);
  });
});

describeRuntime("ps --all", ({ test, make }) => {
  test("shows a container with its pod, mode and root", async () => {
    await using c = inPod(make);
    await c.mustBegin({ global: ["--mode", "namespace"] });
    const { stdout } = await c.call("ps", [], { flags: ["--all", "--format", "json"] }).result();
    const rows = JSON.parse(stdout) as { id: string }[];
    expect(rows.filter(({ id }) => id === c.id)).toEqual([expect.objectContaining({ id: c.id, root: c.stateRoot, mode: "namespace", status: "running", processes: 1, pod: 'web"0', podNamespace: "shop", containerName: "nginx" })]);
    expect((await c.call("ps", [], { flags: ["--all"] }).result()).stdout).toMatch(new RegExp(`^${c.id} +namespace +running +\\d+ +1 +shop/web"0/nginx +${c.stateRoot}$`, "m"));
    expect(await c.call("ps", []).result()).toMatchObject({ code: 1, stderr: "tssandbox: ps: give a container's id, or --all\n" });
  });
});
