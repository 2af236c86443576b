/**
 * linux.netDevices. The host's network is, for these tests, a namespace of their own. That a physical device comes back to the host when its
 * container ends is not shown: there is none that a test might move.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { runRuntime } from "../../support/runtime.ts";
import type { Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";

type Link = { ifname: string; operstate: string; flags: string[]; mtu: number; address: string; addr_info: { local: string; prefixlen: number; scope: string }[] };

/** A network namespace with the ends of two wires, outside each: `left` and `right`, `north` and `south`. */
class Host implements AsyncDisposable {
  readonly prefix: readonly string[];
  readonly #child;

  private constructor(child: ReturnType<typeof spawn>) {
    this.#child = child;
    this.prefix = ["nsenter", `--net=/proc/${child.pid}/ns/net`];
  }

  static async make(): Promise<Host> {
    const script = [
      "ip link add left type veth peer name right", "ip link set right mtu 1400 address 02:00:00:00:00:07", "ip link set left up", "ip link set right up",
      "ip addr add 10.9.0.1/24 dev left", "ip addr add 10.9.0.7/24 dev right", "ip addr add 2001:db8::7/64 dev right nodad", "ip addr add 169.254.1.1/16 scope link dev right",
      "ip link add north type veth peer name south", "echo ready", "exec sleep 1000",
    ].join(" && ");
    const child = spawn("unshare", ["--net", "sh", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    return new Host(child);
  }

  async links(): Promise<string[]> {
    return (await this.ip("-j", "link")).map(({ ifname }) => ifname).filter((name) => ["left", "right", "north", "south"].includes(name)).sort();
  }

  async ip(...args: string[]): Promise<Link[]> {
    return JSON.parse((await runRuntime([...this.prefix, "ip", ...args])).stdout) as Link[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

const linksOf = async (pid: number): Promise<Link[]> => JSON.parse((await runRuntime(["nsenter", `--net=/proc/${pid}/ns/net`, "ip", "-j", "addr"])).stdout) as Link[];
const withDevices = (netDevices: Record<string, { name?: string }>) => (spec: Spec) => {
  Object.assign(spec.linux, { netDevices });
};
const newer = { cannot: { "runc 1.1": "the field is newer", "runc 1.3": "the field is newer" } };
const args = ["sleep", "100"];

describeRuntime("netDevices", ({ test, make }) => {
  test("a device moves into the container: renamed, up, with its permanent global addresses, MTU and hardware address; it works", newer, async () => {
    await using host = await Host.make();
    await using c = make({ args, edit: withDevices({ right: { name: "eth0" } }) });
    await c.mustCreate({ prefix: host.prefix });
    expect(await host.links()).toEqual(["left", "north", "south"]);
    const eth0 = (await linksOf(c.pid)).find(({ ifname }) => ifname === "eth0");
    expect(eth0).toMatchObject({ mtu: 1400, address: "02:00:00:00:00:07", flags: expect.arrayContaining(["UP"]) as unknown });
    const global = eth0?.addr_info.filter(({ scope }) => scope === "global").map(({ local, prefixlen }) => `${local}/${prefixlen}`);
    expect(global).toEqual(["10.9.0.7/24", "2001:db8::7/64"]);
    expect(eth0?.addr_info.map(({ local }) => local)).not.toContain("169.254.1.1");
    await c.mustStart();
    const ping = await runRuntime(["nsenter", `--net=/proc/${c.pid}/ns/net`, "busybox", "ping", "-c1", "-W2", "10.9.0.1"]);
    expect(ping.code, ping.stdout).toBe(0);
  });

  test("without a name it keeps its own; several move", newer, async () => {
    await using host = await Host.make();
    await using c = make({ args, edit: withDevices({ right: {}, south: { name: "" } }) });
    await c.mustCreate({ prefix: host.prefix });
    expect((await linksOf(c.pid)).map(({ ifname }) => ifname)).toEqual(expect.arrayContaining(["lo", "right", "south"]));
    expect(await host.links()).toEqual(["left", "north"]);
  });

  test("a name with %d gets the first free number of the container's, and its addresses", newer, async () => {
    await using host = await Host.make();
    await using c = make({ args, edit: withDevices({ south: { name: "eth0" }, right: { name: "eth%d" } }) });
    await c.mustCreate({ prefix: host.prefix });
    const links = await linksOf(c.pid);
    expect(links.filter(({ ifname }) => ifname.startsWith("eth")).map(({ ifname }) => ifname).sort()).toEqual(["eth0", "eth1"]);
    expect(links.find(({ ifname }) => ifname === "eth1")?.addr_info.map(({ local }) => local)).toContain("10.9.0.7");
  });

  test("createRuntime hooks find it in the container's namespace already", newer, async () => {
    await using host = await Host.make();
    await using c = make({ args, edit: (spec, bundle) => {
      withDevices({ right: { name: "eth0" } })(spec);
      const script = `pid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/'); nsenter --net=/proc/$pid/ns/net ip -br link show eth0 > ${bundle.path("seen")}`;
      spec.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] }] };
    } });
    await c.mustCreate({ prefix: host.prefix });
    expect((await runRuntime(["cat", c.bundle.path("seen")])).stdout).toMatch(/^eth0@/);
  });

  test("a virtual device ends with the container's namespace, and its peer with it, as the kernel has it", newer, async () => {
    await using host = await Host.make();
    await using c = make({ args, edit: withDevices({ right: { name: "eth0" } }) });
    await c.mustBegin({ prefix: host.prefix });
    await c.delete("--force");
    await until("the end of the pair", async () => (await host.links()).join() === "north,south");
    await c.expectNothingLeft();
  });

  const bad: [string, Record<string, { name?: string }>, RegExp][] = [
    ["a device that is missing", { right: { name: "eth0" }, nosuch: {} }, /network devices: .*nosuch.*\(ENODEV\)/],
    ["a name that the container has already", { south: {}, right: { name: "lo" } }, /network devices: .*link lo.*\(EEXIST\)/],
    ["one name for two", { south: { name: "eth0" }, right: { name: "eth0" } }, /network devices: .*link eth0.*\(EEXIST\)/],
    ["the loopback, which cannot move", { lo: { name: "lo1" } }, /network devices: .*lo.*\(EINVAL\)/],
    ["a template with more than a number", { right: { name: "e%s" } }, /netDevices\.right\.name|network devices: .*e%s/],
  ];
  for (const [what, devices, words] of bad) {
    test(`${what} is refused, the devices stay where they are, and nothing is left`, newer, async () => {
      await using host = await Host.make();
      await using c = make({ edit: withDevices(devices) });
      const result = await c.create({ prefix: host.prefix });
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(words);
      expect(result.stderr.trimEnd()).not.toContain("\n");
      await c.expectNothingLeft();
      expect(await host.links()).toEqual(["left", "north", "right", "south"]);
    });
  }
});
