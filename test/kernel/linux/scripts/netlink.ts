import { O_RDONLY } from "../../../../linux/abi/fcntl.ts";
import type { Fd } from "../../../../linux/fd.ts";
import { open, read, writeAll } from "../../../../linux/file.ts";
import { CLONE_NEW, unshare } from "../../../../linux/namespace.ts";
import { addAddress, type Address, listAddresses } from "../../../../linux/netlink/address.ts";
import { moveDevice } from "../../../../linux/netlink/device.ts";
import { createVethPair, deleteLink, getLink, listLinks, moveLink, setLinkUp } from "../../../../linux/netlink/link.ts";
import { addRoute, listRoutes } from "../../../../linux/netlink/route.ts";
import { addNeighbour, listNeighbours } from "../../../../linux/netlink/neighbour.ts";
import { redirectAll } from "../../../../linux/netlink/traffic.ts";
import { POLLIN } from "../../../../linux/abi/poll.ts";
import { openTap } from "../../../../linux/kvm-tap.ts";
import { poll } from "../../../../linux/poll.ts";
import { openRoute, type RouteSocket } from "../../../../linux/netlink/route-socket.ts";
import { defineCases, messageOf, refusal } from "../../../support/forked.ts";

/** A new, empty network namespace, the calling process in it. */
function newNamespace(): { readonly socket: RouteSocket; readonly fd: Fd } {
  unshare(CLONE_NEW.net, "net");
  return { socket: openRoute(), fd: open("/proc/self/ns/net", O_RDONLY) };
}

const names = (socket: RouteSocket) => listLinks(socket).map(({ name }) => name);

const summary = ({ address, prefixLength, peer, broadcast, scope }: Address) => ({ address, prefixLength, peer, broadcast, scope });

/** IPv6 link-local addresses come and go on their own. */
const stable = (socket: RouteSocket, name: string) =>
  listAddresses(socket, getLink(socket, name).index).filter(({ address }) => !address.startsWith("fe80")).map(summary);

defineCases({
  "lo up": () => {
    const { socket } = newNamespace();
    const before = listLinks(socket).map(({ name, up }) => ({ name, up }));
    setLinkUp(socket, "lo");
    const { name, up, index, mtu } = getLink(socket, "lo");
    return { before, after: { name, up, index, mtu }, addresses: stable(socket, "lo") };
  },
  "veth": () => {
    const { socket } = newNamespace();
    createVethPair(socket, "left", "right");
    const made = listLinks(socket).map(({ name, kind, address }) => [name, kind ?? null, address.length]);
    deleteLink(socket, "left");
    return { made, left: names(socket) };
  },
  "move": () => {
    const from = newNamespace();
    createVethPair(from.socket, "left", "right");
    const to = newNamespace();
    moveLink(from.socket, "right", to.fd, "eth0");
    return { from: names(from.socket), to: names(to.socket) };
  },
  "addresses": () => {
    const { socket } = newNamespace();
    createVethPair(socket, "left", "right");
    const { index } = getLink(socket, "left");
    addAddress(socket, index, { address: "10.9.0.1", prefixLength: 24, broadcast: "10.9.0.255" });
    addAddress(socket, index, { address: "10.8.0.1", prefixLength: 32, peer: "10.8.0.2" });
    addAddress(socket, index, { address: "2001:db8::1", prefixLength: 64, flags: 2 });
    const again = refusal(() => addAddress(socket, index, { address: "10.9.0.1", prefixLength: 24 }));
    return { again, left: stable(socket, "left"), right: stable(socket, "right") };
  },
  "routes": () => {
    const { socket } = newNamespace();
    createVethPair(socket, "left", "right");
    const { index } = getLink(socket, "left");
    const unreachable = refusal(() => addRoute(socket, { destination: "0.0.0.0", prefixLength: 0, gateway: "10.9.0.254" }));
    addAddress(socket, index, { address: "10.9.0.1", prefixLength: 24 });
    addAddress(socket, index, { address: "2001:db8::1", prefixLength: 64, flags: 2 });
    setLinkUp(socket, "left");
    addRoute(socket, { destination: "0.0.0.0", prefixLength: 0, gateway: "10.9.0.254" });
    addRoute(socket, { destination: "192.0.2.0", prefixLength: 24, link: index, priority: 50 });
    addRoute(socket, { destination: "::", prefixLength: 0, gateway: "2001:db8::ff" });
    const relative = (list: ReturnType<typeof listRoutes>) => list.map((route) => ({ ...route, link: route.link === index }));
    return { unreachable, ipv4: relative(listRoutes(socket, "ipv4")), ipv6: relative(listRoutes(socket, "ipv6")) };
  },
  "device": () => {
    const host = newNamespace();
    createVethPair(host.socket, "left", "right");
    const { index } = getLink(host.socket, "right");
    addAddress(host.socket, index, { address: "10.9.0.1", prefixLength: 24, broadcast: "10.9.0.255", label: "right:1" });
    addAddress(host.socket, index, { address: "169.254.1.1", prefixLength: 16, scope: 253 });
    addAddress(host.socket, index, { address: "2001:db8::1", prefixLength: 64 });
    setLinkUp(host.socket, "left");
    setLinkUp(host.socket, "right");
    const container = newNamespace();
    moveDevice(host.socket, container.socket, container.fd, "right", "eth0");
    return { host: names(host.socket), up: getLink(container.socket, "eth0").up, addresses: stable(container.socket, "eth0") };
  },
  "refusals": () => {
    const { socket, fd } = newNamespace();
    createVethPair(socket, "left", "right");
    const other = newNamespace();
    createVethPair(other.socket, "right", "x");
    return {
      absent: messageOf(() => setLinkUp(socket, "nope")),
      lo: messageOf(() => moveLink(socket, "lo", other.fd)),
      taken: refusal(() => moveLink(socket, "right", other.fd)),
      notNamespace: refusal(() => moveLink(socket, "right", open("/dev/null", O_RDONLY))),
      names: ["", "a/b", "0123456789abcdef", "..", "a b", "a\0b", "eth%d"].map((name) => refusal(() => getLink(socket, name))),
      stillThere: names(socket),
      own: fd.number > 2,
    };
  },
  "many links": () => {
    const { socket } = newNamespace();
    for (let i = 0; i < 100; i++) createVethPair(socket, `left${i}`, `right${i}`);
    return new Set(names(socket)).size;
  },
  "redirect": () => {
    const { socket } = newNamespace();
    const [from, to, other] = ["from", "to", "other"].map((name) => {
      const tap = openTap(name);
      setLinkUp(socket, name);
      return { tap, index: getLink(socket, name).index };
    });
    if (from === undefined || to === undefined || other === undefined) throw new Error("no taps");
    const frame = new Uint8Array(12 + 60);
    // Broadcast, from a made-up address, of a made-up protocol.
    frame.set([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 0x88, 0xb5], 12);
    /** Whether the frame arrives there; what the kernel itself says on a new link is passed over. */
    const arrives = (at: typeof to) => {
      writeAll(from.tap, frame);
      for (let tries = 0; tries < 100 && poll([{ fd: at.tap, events: POLLIN }], 50)[0] !== 0; tries++) {
        if (Buffer.from(read(at.tap, 2048)).subarray(12, 26).equals(Buffer.from(frame.subarray(12, 26)))) return true;
      }
      return "nothing";
    };
    const before = arrives(to);
    redirectAll(socket, from.index, to.index);
    const redirected = arrives(to);
    redirectAll(socket, from.index, other.index);
    return { before, redirected, elsewhere: arrives(other), first: arrives(to) };
  },
  "neighbours": () => {
    const { socket } = newNamespace();
    createVethPair(socket, "left", "right");
    for (const name of ["left", "right"]) setLinkUp(socket, name);
    const [left, right] = ["left", "right"].map((name) => getLink(socket, name).index);
    addNeighbour(socket, right ?? 0, { address: "10.9.0.9", hardware: Uint8Array.of(2, 0, 0, 0, 0, 9) });
    addNeighbour(socket, left ?? 0, { address: "10.9.0.7", hardware: Uint8Array.of(2, 0, 0, 0, 0, 7) });
    addNeighbour(socket, left ?? 0, { address: "2001:db8::7", hardware: Uint8Array.of(2, 0, 0, 0, 0, 8) });
    return listNeighbours(socket, left ?? 0).map(({ address, hardware }) => ({ address, hardware: [...hardware] }));
  },
  "unprivileged": () => {
    const { socket } = newNamespace();
    unshare(CLONE_NEW.user, "user");
    return { list: names(socket), change: refusal(() => setLinkUp(socket, "lo")) };
  },
});
