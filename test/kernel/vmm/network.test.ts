// A machine's network: what is made of a pod's network namespace on the host, and what the guest makes of what it is told.
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCase } from "../../support/forked.ts";

const run = (name: string): unknown => runCase(join(import.meta.dirname, "scripts", "network.ts"), name);

const ROUTES = [
  { destination: "0.0.0.0", prefixLength: 0, gateway: "169.254.1.1" },
  { destination: "10.99.0.0", prefixLength: 24, source: "10.99.0.2" },
  { destination: "169.254.1.1", prefixLength: 32 },
];

test("a pod's namespace is described, connected by a tap, and has one machine at a time", () => {
  expect(run("host")).toEqual({
    cards: [{ isIts: true, mtu: 1400 }],
    name: "eth0",
    addresses: [
      { address: "10.99.0.2", prefixLength: 24, broadcast: "10.99.0.255", scope: 0, flags: 0x82 },
      { address: "2001:db8::2", prefixLength: 64, scope: 0, flags: expect.any(Number) as number },
    ],
    routes: [...ROUTES, { destination: "2001:db8::", prefixLength: 64, priority: 256 }].map((route) => JSON.stringify(route)).sort(),
    neighbours: [{ address: "169.254.1.1", mac: "ee:ee:ee:ee:ee:ee" }],
    inside: [["lo", 65536, true], ["eth0", 1400, true], ["tssb0", 1400, true]],
    stillOnHost: ["lo", "veth0"],
    again: "the network namespace is connected with another machine",
  });
});

test("the next machine in the same namespace takes the place of one that is gone", () => {
  expect(run("a machine after another")).toBe(1);
});

test("the host's own network is refused", () => {
  expect(run("own")).toMatch(/is the host's own network: a machine cannot share it/);
});

test("no namespace, a new one, or one without devices: no card", () => {
  expect(run("none")).toEqual(Array.from({ length: 3 }, () => ({ cards: [], interfaces: [] })));
});

test("the guest has the addresses, routes and neighbours, also when it is told twice", () => {
  expect(run("guest")).toEqual({
    addresses: [{ address: "10.99.0.2", prefixLength: 24, broadcast: "10.99.0.255" }, { address: "2001:db8::2", prefixLength: 64 }],
    routes: ROUTES.map((route) => ({ ...route, link: true })),
    neighbours: [["169.254.1.1", "ee:ee:ee:ee:ee:ee"]],
    absent: "the guest has no network device 02:00:00:00:00:99",
  });
});

test("a clone's device loses what the original had, and has what its own pod has", () => {
  expect(run("a clone")).toEqual({
    mac: "02:00:00:00:00:77", mtu: 1400, addresses: ["10.97.0.3/24"], routes: ["0.0.0.0/0 10.97.0.1", "10.97.0.0/24 "], neighbours: 0,
    others: "the snapshot's machine has 0 network devices, the network namespace 1",
  });
});

test("a device gets the name that it has in the pod", () => {
  expect(run("renamed")).toEqual([["lo", false], ["eth1", false], ["net1", true]]);
});
