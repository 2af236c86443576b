import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runCase } from "../../support/forked.ts";

const script = fileURLToPath(new URL("scripts/netlink.ts", import.meta.url));
const run = (name: string) => runCase(script, name);

test("a new network namespace has lo alone, down; brought up it has its addresses", () => {
  expect(run("lo up")).toEqual({
    before: [{ name: "lo", up: false }],
    after: { name: "lo", up: true, index: 1, mtu: 65536 },
    addresses: [
      { address: "127.0.0.1", prefixLength: 8, scope: 254 },
      { address: "::1", prefixLength: 128, scope: 254 },
    ],
  });
});

test("a veth pair is created by name, and both ends go when one is deleted", () => {
  expect(run("veth")).toEqual({ made: [["lo", null, 6], ["right", "veth", 6], ["left", "veth", 6]], left: ["lo"] });
});

test("a link moves to another namespace under a new name", () => {
  expect(run("move")).toEqual({ from: ["lo", "left"], to: ["lo", "eth0"] });
});

test("addresses of one link are listed as they were added", () => {
  expect(run("addresses")).toEqual({
    again: "EEXIST",
    left: [
      { address: "10.9.0.1", prefixLength: 24, broadcast: "10.9.0.255", scope: 0 },
      { address: "10.8.0.1", prefixLength: 32, peer: "10.8.0.2", scope: 0 },
      { address: "2001:db8::1", prefixLength: 64, scope: 0 },
    ],
    right: [],
  });
});

test("routes are listed with those that the kernel added for the prefixes", () => {
  expect(run("routes")).toEqual({
    unreachable: "ENETUNREACH",
    ipv4: [
      { destination: "0.0.0.0", prefixLength: 0, gateway: "10.9.0.254", link: true },
      { destination: "10.9.0.0", prefixLength: 24, source: "10.9.0.1", link: true },
      { destination: "192.0.2.0", prefixLength: 24, link: true, priority: 50 },
    ],
    ipv6: [
      { destination: "2001:db8::", prefixLength: 64, link: true, priority: 256 },
      { destination: "::", prefixLength: 0, gateway: "2001:db8::ff", link: true, priority: 1024 },
    ],
  });
});

test("a moved device keeps its permanent global addresses, no others, and is up", () => {
  expect(run("device")).toEqual({
    host: ["lo", "left"],
    up: true,
    addresses: [
      { address: "10.9.0.1", prefixLength: 24, broadcast: "10.9.0.255", scope: 0 },
      { address: "2001:db8::1", prefixLength: 64, scope: 0 },
    ],
  });
});

test("what is refused is named, with the kernel's own words where it has some", () => {
  expect(run("refusals")).toEqual({
    absent: "netlink link nope up: no such device (ENODEV)",
    lo: expect.stringMatching(/^netlink move link lo as lo: invalid argument \(EINVAL\); .*netns/) as string,
    taken: "EEXIST",
    notNamespace: "EINVAL",
    names: Array.from({ length: 7 }, () => "EINVAL"),
    stillThere: ["lo", "right", "left"],
    own: true,
  });
});

test("a list longer than one datagram is complete", () => {
  expect(run("many links")).toBe(201);
});

test("without CAP_NET_ADMIN over the namespace links can be seen and not changed", () => {
  expect(run("unprivileged")).toEqual({ list: ["lo"], change: "EPERM" });
});

test("what one link receives leaves by the other, and a new rule takes the place of an old one", () => {
  expect(run("redirect")).toEqual({ before: "nothing", redirected: true, elsewhere: true, first: "nothing" });
});

test("permanent neighbours are listed as they were added", () => {
  expect(run("neighbours")).toEqual([{ address: "10.9.0.7", hardware: [2, 0, 0, 0, 0, 7] }, { address: "2001:db8::7", hardware: [2, 0, 0, 0, 0, 8] }]);
});
