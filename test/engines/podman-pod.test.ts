import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUSYBOX } from "./images.ts";
import { Podman, succeeded } from "./podman.ts";
import { execute, namespaceOf } from "./support.ts";

let podman: Podman;
beforeAll(async () => {
  podman = await Podman.start("pod", [BUSYBOX], { mode: "namespace" });
});
afterAll(async () => podman?.[Symbol.asyncDispose]());

describe("a pod", () => {
  let ids: string[];
  beforeAll(async () => {
    await podman.ok("pod", "create", "--name", "pod", "--share", "net,ipc,uts,pid", "--hostname", "shared");
    const web = await podman.background(["--pod", "pod", "--name", "web"], "httpd", "-f", "-p", "8080", "-h", "/etc");
    const peer = await podman.background(["--pod", "pod", "--name", "peer"], "sleep", "100");
    ids = (await podman.ok("ps", "--all", "--no-trunc", "--format", "{{.ID}}")).split("\n");
    expect(ids).toContain(web);
    expect(ids).toContain(peer);
  });

  test("has an infra container and two that share its namespaces", async () => {
    expect(ids).toHaveLength(3);
    const inits = await Promise.all(ids.map(async (id) => (await podman.pids(id)).init));
    for (const type of ["net", "ipc", "uts", "pid"]) expect(new Set(inits.map((pid) => namespaceOf(pid, type))).size).toBe(1);
    expect(new Set(inits.map((pid) => namespaceOf(pid, "mnt"))).size).toBe(3);
  });

  test("one container sees the other's processes, name and server", async () => {
    expect(await podman.ok("exec", "peer", "ps", "-o", "args")).toContain("httpd -f");
    expect(await podman.ok("exec", "peer", "hostname")).toBe("shared");
    expect(await podman.ok("exec", "peer", "wget", "-qO-", "http://127.0.0.1:8080/passwd")).toContain("guest:x:1234");
  });

  test("a container that stops leaves the others running", async () => {
    await podman.remove("web");
    expect(await podman.ok("exec", "peer", "echo", "still here")).toBe("still here");
  });

  test("pause, unpause, restart and removal reach all of it", async () => {
    await podman.ok("pod", "pause", "pod");
    expect(await podman.inspect("peer", "{{.State.Status}}")).toBe("paused");
    await podman.ok("pod", "unpause", "pod");
    await podman.ok("pod", "restart", "pod");
    expect(await podman.ok("exec", "peer", "hostname")).toBe("shared");
    await podman.ok("pod", "rm", "--force", "--time", "0", "pod");
    await podman.expectNothingLeft(...ids);
  });
});

// One sandbox: they share network, ipc, name and clock, and processes where that is asked for.
describe("a pod in a sandbox", () => {
  let sandboxes: Podman;
  beforeAll(async () => {
    sandboxes = await Podman.start("pod-sandboxes", [BUSYBOX]);
    await sandboxes.ok("pod", "create", "--name", "pod", "--share", "net,ipc,uts", "--hostname", "shared");
    await sandboxes.background(["--pod", "pod", "--name", "web", "--stop-timeout", "1"], "httpd", "-f", "-p", "8080", "-h", "/etc");
    await sandboxes.background(["--pod", "pod", "--name", "peer", "--stop-timeout", "1"], "sleep", "100");
  });
  afterAll(async () => sandboxes?.[Symbol.asyncDispose]());

  test("one container reaches the other's server, and sees its name and none of its processes", async () => {
    expect(await sandboxes.ok("exec", "peer", "uname", "-nr")).toMatch(/^shared \S+-tssandbox$/);
    expect(await sandboxes.ok("exec", "peer", "wget", "-qO-", "http://127.0.0.1:8080/passwd")).toContain("guest:x:1234");
    expect(await sandboxes.ok("exec", "peer", "ps", "-o", "args")).not.toContain("httpd");
    const ids = (await sandboxes.ok("ps", "--all", "--no-trunc", "--format", "{{.ID}}")).split("\n");
    const inits = await Promise.all(ids.map(async (id) => (await sandboxes.pids(id)).init));
    expect(["time", "pid", "user"].map((type) => new Set(inits.map((pid) => namespaceOf(pid, type))).size)).toEqual([1, 3, 3]);
  });

  test("pause, unpause, a container that goes, restart and removal", async () => {
    await sandboxes.ok("pod", "pause", "pod");
    expect(await sandboxes.inspect("peer", "{{.State.Status}}")).toBe("paused");
    await sandboxes.ok("pod", "unpause", "pod");
    await sandboxes.remove("web");
    expect(await sandboxes.ok("exec", "peer", "echo", "still here")).toBe("still here");
    await sandboxes.ok("pod", "restart", "pod");
    expect(await sandboxes.ok("exec", "peer", "hostname")).toBe("shared");
    const ids = (await sandboxes.ok("ps", "--all", "--no-trunc", "--format", "{{.ID}}")).split("\n");
    await sandboxes.ok("pod", "rm", "--force", "--time", "0", "pod");
    await sandboxes.expectNothingLeft(...ids);
  });

  test("processes are shared where the pod says so, and ids with them", async () => {
    await sandboxes.ok("pod", "create", "--name", "together", "--share", "net,pid");
    await sandboxes.background(["--pod", "together", "--name", "one", "--stop-timeout", "1"], "sleep", "1234");
    await sandboxes.background(["--pod", "together", "--name", "other", "--stop-timeout", "1"], "sleep", "100");
    expect(await sandboxes.ok("exec", "other", "ps", "-o", "args")).toContain("sleep 1234");
    const inits = await Promise.all(["one", "other"].map(async (name) => (await sandboxes.pids(name)).init));
    for (const type of ["pid", "user", "time"]) expect(new Set(inits.map((pid) => namespaceOf(pid, type))).size).toBe(1);
    const ids = (await sandboxes.ok("ps", "--all", "--no-trunc", "--format", "{{.ID}}")).split("\n");
    await sandboxes.ok("pod", "rm", "--force", "--time", "0", "together");
    await sandboxes.expectNothingLeft(...ids);
  });
});

// The bridge, its firewall rules and its leases belong to whoever calls podman: here to a network namespace of ours.
describe("a bridge network", () => {
  const namespace = `tss-${process.pid}`;
  const bridged = async (...args: string[]) =>
    succeeded(await podman.call(["nsenter", `--net=/run/netns/${namespace}`, ...podman.argv(...args)]), args);

  beforeAll(async () => {
    await execute(["ip", "netns", "add", namespace]);
    await execute(["ip", "-n", namespace, "link", "set", "lo", "up"]);
    await bridged("network", "create", "--subnet", "10.213.7.0/24", namespace);
  });
  afterAll(async () => {
    await bridged("rm", "--all", "--force", "--time", "0").catch(() => {});
    await bridged("network", "rm", "--force", namespace);
    await execute(["ip", "netns", "delete", namespace]);
    rmSync(`/var/lib/cni/networks/${namespace}`, { recursive: true, force: true }); // host-local leaves its lock file
  });

  test("two containers have addresses and reach each other; a port is published", async () => {
    const first = ["--network", namespace, "--ip", "10.213.7.10", "--publish", "127.0.0.1:8081:80", "--name", "server"];
    await bridged("run", "--detach", ...first, BUSYBOX.name, "httpd", "-f", "-h", "/etc");
    const second = await bridged("run", "--rm", "--network", namespace, BUSYBOX.name, "sh", "-c", "ip -4 -o addr show eth0; wget -qO- http://10.213.7.10/passwd");
    expect(second).toMatch(/inet 10\.213\.7\.\d+\/24/);
    expect(second).toContain("guest:x:1234");
    expect(await bridged("port", "server")).toBe("80/tcp -> 127.0.0.1:8081");
  });
});
