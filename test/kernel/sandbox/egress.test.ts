// Rules for outgoing traffic. Two network namespaces of the test's own: the runtime and servers in one, the container in the other, with a cable between them.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, expect } from "vitest";
import type { CommandOptions, Container, ContainerOptions } from "../../support/container.ts";
import { describeRuntime } from "../../support/contract.ts";
import { nodePath } from "../../support/forked.ts";
import { ensurePackages } from "../../packages.ts";
import { isAlive, namespaceOf, statusField } from "../../support/host.ts";
import { until } from "../../support/until.ts";
import { installGuest, stateFile } from "./support.ts";

const [SERVERS, PEER] = [`tsse-s-${process.pid}`, `tsse-c-${process.pid}`];
const [ONE, TWO, THREE, METADATA] = ["10.99.0.1", "10.99.0.2", "10.99.0.3", "169.254.169.254"];
const ip = (...words: string[]) => execFileSync("ip", words);
const inServers = ["nsenter", `--net=/run/netns/${SERVERS}`];
const rules = () => execFileSync("nsenter", [`--net=/run/netns/${PEER}`, "nft", "list", "ruleset"], { encoding: "utf8" });
let servers: ChildProcess | undefined;

beforeAll(async () => {
  await ensurePackages(["iproute2", "nftables"]);
  for (const name of [SERVERS, PEER]) ip("netns", "add", name);
  ip("link", "add", "cable", "netns", SERVERS, "type", "veth", "peer", "name", "cable", "netns", PEER);
  for (const address of [ONE, TWO, THREE]) ip("-n", SERVERS, "addr", "add", `${address}/24`, "dev", "cable");
  ip("-n", SERVERS, "addr", "add", `${METADATA}/32`, "dev", "cable");
  ip("-n", PEER, "addr", "add", "10.99.0.9/24", "dev", "cable");
  for (const name of [SERVERS, PEER]) for (const device of ["lo", "cable"]) ip("-n", name, "link", "set", device, "up");
  ip("-n", PEER, "route", "add", "default", "via", ONE);
  const args = [join(import.meta.dirname, "scripts/egress-servers.ts"), [ONE, TWO, THREE, METADATA].join(","), "8080,8081", `good.example=${TWO},api.good.example=${THREE},evil.example=${THREE}`];
  servers = spawn(inServers[0]!, [...inServers.slice(1), nodePath, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  await once(servers.stdout!, "data");
});
afterAll(() => {
  servers?.kill();
  for (const name of [SERVERS, PEER]) ip("netns", "del", name);
});

const SENTRY: CommandOptions = { global: ["--mode", "sentry"], prefix: inServers };

/** @returns what came of each attempt. */
async function attempt(c: Container, ...words: string[]): Promise<Record<string, string>> {
  const output = await c.mustExec(["/net-try", ...words]);
  return Object.fromEntries(output.trim().split("\n").map((line) => line.split(" ") as [string, string]).map(([word, ...rest]) => [word, rest.join(" ")]));
}

/** The user namespace that a process's network namespace belongs to: whoever is not root over that one has no CAP_NET_ADMIN. Source: ioctl_ns(2), NS_GET_USERNS. */
function ownerOfNetwork(pid: number): number {
  const script = `import fcntl, os; print(os.readlink(f"/proc/self/fd/{fcntl.ioctl(os.open('/proc/${pid}/ns/net', os.O_RDONLY), 0xb701)}"))`;
  return Number(/\d+/.exec(execFileSync("python3", ["-c", script], { encoding: "utf8" }))?.[0]);
}

describeRuntime("egress rules", ({ test, make }) => {
  function withRules(egress: string, options: ContainerOptions = {}): Container {
    const c = make({ args: ["sleep", "1000"], ...options, edit: (spec, bundle) => {
      spec.annotations = { "dev.tssandbox.egress": egress };
      spec.linux.namespaces = [...spec.linux.namespaces.filter(({ type }) => type !== "network"), { type: "network", path: `/run/netns/${PEER}` }];
      writeFileSync(bundle.path("resolv.conf"), `nameserver ${ONE}\n`);
      spec.mounts.push({ destination: "/etc/resolv.conf", type: "bind", source: bundle.path("resolv.conf"), options: ["bind", "ro"] });
      options.edit?.(spec, bundle);
    } });
    installGuest(c, "net-try");
    return c;
  }

  test("addresses and ports: what is not allowed is refused at once, and told of once", async () => {
    await using c = withRules(`allow ${ONE}:8080; allow 10.99.0.2/31:8081; deny ${THREE}`);
    await c.mustBegin(SENTRY);
    const words = [`tcp:${ONE}:8080`, `tcp:${ONE}:8081`, `tcp:${TWO}:8081`, `tcp:${TWO}:8080`, `tcp:${THREE}:8081`, `udp:${TWO}:9999`, `tcp:${TWO}:8080`];
    expect(await attempt(c, ...words)).toEqual({
      [`tcp:${ONE}:8080`]: "ok", [`tcp:${ONE}:8081`]: "EHOSTUNREACH", [`tcp:${TWO}:8081`]: "ok", [`tcp:${TWO}:8080`]: "EHOSTUNREACH", [`tcp:${THREE}:8081`]: "EHOSTUNREACH", [`udp:${TWO}:9999`]: expect.stringMatching(/^E(PERM|HOSTUNREACH)$/),
    });
    const told = () => [...stateFile(c, "sandbox.log").matchAll(/egress: denied: ([^"]+)/g)].map(([, what]) => what).toSorted();
    await until("the log", () => told().length === 4);
    expect(told()).toEqual([`tcp ${ONE}:8081`, `tcp ${TWO}:8080`, `tcp ${THREE}:8081`, `udp ${TWO}:9999`].toSorted());
  });

  test("of the host's configuration: they hold without an annotation, which may only take away", async () => {
    const configured = (c: Container): CommandOptions => {
      const file = c.bundle.path("host.json");
      writeFileSync(file, JSON.stringify({ network: { egress: `allow ${ONE}:8080; allow ${TWO}:8081` } }));
      return { ...SENTRY, global: [...(SENTRY.global ?? []), "--config", file] };
    };
    const words = [`tcp:${ONE}:8080`, `tcp:${TWO}:8081`, `tcp:${THREE}:8081`];
    {
      await using plain = withRules("", { edit: (spec) => void delete spec.annotations });
      await plain.mustBegin(configured(plain));
      expect(await attempt(plain, ...words)).toEqual({ [`tcp:${ONE}:8080`]: "ok", [`tcp:${TWO}:8081`]: "ok", [`tcp:${THREE}:8081`]: "EHOSTUNREACH" });
    }
    await using less = withRules(`allow ${TWO}:8081`);
    await less.mustBegin(configured(less));
    expect(await attempt(less, ...words)).toEqual({ [`tcp:${ONE}:8080`]: "EHOSTUNREACH", [`tcp:${TWO}:8081`]: "ok", [`tcp:${THREE}:8081`]: "EHOSTUNREACH" });
    await using more = withRules(`allow ${THREE}`);
    expect(await more.create(configured(more))).toMatchObject({ code: 1, stderr: expect.stringContaining("may only take away from") as string });
    await using elsewhere = withRules("", { edit: (spec) => void delete spec.annotations });
    expect(await elsewhere.create({ ...configured(elsewhere), global: ["--mode", "namespace", "--config", elsewhere.bundle.path("host.json")] })).toMatchObject({ code: 1, stderr: expect.stringContaining("it takes sentry mode") as string });
  });

  test("a sandbox's further containers have its first one's, whose network they share, and can have no others", async () => {
    await using first = withRules(`allow ${ONE}:8080`);
    await first.mustBegin(SENTRY);
    const joining = (egress: string) => withRules(egress, { stateRoot: first.stateRoot, edit: (spec) => void (spec.annotations = { ...spec.annotations, "dev.tssandbox.sandbox": first.id }) });
    await using second = joining(`allow ${ONE}:8080`);
    await second.mustBegin(SENTRY);
    expect(await attempt(second, `tcp:${ONE}:8080`, `tcp:${TWO}:8081`)).toEqual({ [`tcp:${ONE}:8080`]: "ok", [`tcp:${TWO}:8081`]: "EHOSTUNREACH" });
    await using third = joining(`allow ${TWO}:8081`);
    expect(await third.create(SENTRY)).toMatchObject({ code: 1, stderr: expect.stringContaining(`the network is that of ${first.id}, whose rules are others`) as string });
  });

  test("names: nothing else is looked up; an address is open from its lookup on, for as long as the name server says", async () => {
    await using c = withRules("allow good.example:8080; allow *.good.example");
    await c.mustBegin(SENTRY);
    expect(await attempt(c, `tcp:${TWO}:8080`, `tcp:${THREE}:8081`, `name:evil.example@${ONE}`, `name:good.example.evil.example@${ONE}`, `name:xgood.example@${ONE}`)).toEqual({
      [`tcp:${TWO}:8080`]: "EHOSTUNREACH", [`tcp:${THREE}:8081`]: "EHOSTUNREACH", [`name:evil.example@${ONE}`]: "rcode 5", [`name:good.example.evil.example@${ONE}`]: "rcode 5", [`name:xgood.example@${ONE}`]: "rcode 5",
    });
    expect(await attempt(c, `name:good.example@${ONE}`, `tcp:${TWO}:8080`, `tcp:${TWO}:8081`, `name:API.good.example@192.0.2.53`, `tcp:${THREE}:8081`)).toEqual({
      [`name:good.example@${ONE}`]: TWO, [`tcp:${TWO}:8080`]: "ok", [`tcp:${TWO}:8081`]: "EHOSTUNREACH", [`name:API.good.example@192.0.2.53`]: THREE, [`tcp:${THREE}:8081`]: "ok",
    });
    // The name server says 5 seconds, which would be too short for who looks up and then connects.
    expect(rules()).toMatch(/elements = \{ 10\.99\.0\.2 timeout 40s expires/);
    expect(stateFile(c, "sandbox.log")).toMatch(/egress: denied: name evil\.example"/);
  });

  test("addresses at which clouds hand out credentials are denied, unless a rule names them; a name that leads there does not open them", async () => {
    for (const [egress, open] of [["", false], ["allow *", false], ["allow 169.254.0.0/16", false], [`allow ${METADATA}`, true]] as const) {
      await using c = withRules(egress);
      await c.mustBegin(SENTRY);
      expect(await attempt(c, `tcp:${METADATA}:8080`), egress).toEqual({ [`tcp:${METADATA}:8080`]: open ? "ok" : "EHOSTUNREACH" });
      if (egress === "allow *") expect(await attempt(c, `tcp:${THREE}:8081`, `name:evil.example@${ONE}`)).toEqual({ [`tcp:${THREE}:8081`]: "ok", [`name:evil.example@${ONE}`]: THREE });
    }
  });

  test("the rules stand before the program, hold against root with every capability, and go with the container", async () => {
    await using c = withRules(`allow ${ONE}:8080; allow [2001:db8::]/29:5432-5439; deny 10.128.0.0/9`, { edit: (spec) => {
      const caps = ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN"];
      spec.process!.capabilities = { bounding: caps, effective: caps, permitted: caps, inheritable: caps, ambient: caps };
    } });
    await c.mustCreate(SENTRY);
    const before = rules().replaceAll(/packets \d+ bytes \d+/g, "");
    expect(before).toContain(`table inet tssandbox-${c.id}`);
    // As nft(8) reads what the kernel has.
    for (const rule of ["ip6 daddr 2001:db8::/29 tcp dport 5432-5439 accept", "ip6 daddr 2001:db8::/29 udp dport 5432-5439 accept", "ip daddr 10.128.0.0/9 counter"]) expect(before).toContain(rule);
    await c.mustStart();
    expect(ownerOfNetwork(c.pid)).toBe(namespaceOf("self", "user"));
    expect(await attempt(c, "netfilter", `tcp:${TWO}:8080`)).toEqual({ netfilter: "EPROTONOSUPPORT", [`tcp:${TWO}:8080`]: "EHOSTUNREACH" });
    expect(rules().replaceAll(/packets \d+ bytes \d+/g, "")).toBe(before);
    const { proxy } = JSON.parse(stateFile(c, "egress.json")) as { proxy: { pid: number } };
    // nobody, with CAP_NET_ADMIN alone.
    expect(["Uid", "CapEff", "Seccomp", "NoNewPrivs"].map((field) => statusField(proxy.pid, field)?.split("\t")[0])).toEqual(["65534", "0000000000001000", "2", "1"]);
    await c.delete("--force");
    await until("the proxy's end", () => !isAlive(proxy.pid));
    expect(rules()).toBe("");
    await c.expectNothingLeft();
  });

  test("a network namespace of the container's own belongs to none of its users: loopback works, and nobody is root over it", async () => {
    await using c = withRules("allow *", { edit: (spec) => {
      spec.linux.namespaces = spec.linux.namespaces.map((namespace) => (namespace.type === "network" ? { type: "network" } : namespace));
      const caps = ["CAP_NET_ADMIN", "CAP_NET_RAW"];
      spec.process!.capabilities = { bounding: caps, effective: caps, permitted: caps, inheritable: caps, ambient: caps };
    } });
    await c.mustBegin(SENTRY);
    expect(ownerOfNetwork(c.pid)).toBe(namespaceOf("self", "user"));
    expect(await attempt(c, "tcp:127.0.0.1:9", `tcp:${ONE}:8080`)).toEqual({ "tcp:127.0.0.1:9": "ECONNREFUSED", [`tcp:${ONE}:8080`]: "ENETUNREACH" });
  });

  const refused: [string, string, (c: Container) => void, RegExp, CommandOptions?][] = [
    ["no rule at all", "forbid all", () => {}, /annotations\["dev\.tssandbox\.egress"\]: "forbid all": a rule is/],
    ["the host's network", "allow *", (c) => { c.spec.linux.namespaces = c.spec.linux.namespaces.filter(({ type }) => type !== "network"); }, /has the host's network/],
    ["the runtime's own network, by path", "allow *", (c) => { c.spec.linux.namespaces.find(({ type }) => type === "network")!.path = `/run/netns/${SERVERS}`; }, /network namespace of whoever starts it/],
    ["a mode that cannot keep them", "allow *", () => {}, /needs sentry mode/, { global: ["--mode", "namespace"], prefix: inServers }],
  ];
  for (const [what, egress, edit, words, options = SENTRY] of refused) {
    test(`${what}: refused, nothing left`, async () => {
      await using c = withRules(egress);
      edit(c);
      c.bundle.write();
      const result = await c.create(options);
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(words);
      expect(rules()).toBe("");
      await c.expectNothingLeft();
    });
  }
});
