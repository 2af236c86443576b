/** Both sides of a machine's network, each in a namespace of its own. */
import { O_RDONLY } from "../../../../linux/abi/fcntl.ts";
import { open } from "../../../../linux/file.ts";
import { CLONE_NEW, setNamespace, unshare } from "../../../../linux/namespace.ts";
import { addAddress, listAddresses } from "../../../../linux/netlink/address.ts";
import { createVethPair, getLink, listLinks, moveLink, setLinkMtu, setLinkUp } from "../../../../linux/netlink/link.ts";
import { addNeighbour, listNeighbours } from "../../../../linux/netlink/neighbour.ts";
import { addRoute, listRoutes } from "../../../../linux/netlink/route.ts";
import { openRoute } from "../../../../linux/netlink/route-socket.ts";
import { connectNetwork, inPlaceOf, networkOf } from "../../../../runtime/vm/network.ts";
import { configureNetwork, formatMac, type GuestInterface } from "../../../../runtime/vm/guest-network.ts";
import type { Spec } from "../../../../runtime/spec/config.ts";
import { defineCases, messageOf } from "../../../support/forked.ts";

function newNamespace() {
  unshare(CLONE_NEW.net, "net");
  return { socket: openRoute(), fd: open("/proc/thread-self/ns/net", O_RDONLY) };
}

/** A pod as a CNI plugin leaves it; the caller stays in what stands for the host. */
function pod() {
  const inside = newNamespace();
  setLinkUp(inside.socket, "lo");
  const host = newNamespace();
  createVethPair(host.socket, "veth0", "eth0");
  moveLink(host.socket, "eth0", inside.fd);
  setLinkUp(host.socket, "veth0");
  addAddress(host.socket, getLink(host.socket, "veth0").index, { address: "10.99.0.1", prefixLength: 24 });
  const { index } = getLink(inside.socket, "eth0");
  addAddress(inside.socket, index, { address: "10.99.0.2", prefixLength: 24, broadcast: "10.99.0.255" });
  addAddress(inside.socket, index, { address: "2001:db8::2", prefixLength: 64 });
  setLinkMtu(inside.socket, "eth0", 1400);
  setLinkUp(inside.socket, "eth0");
  // As Calico has it: a gateway that is in no network of the pod's.
  addRoute(inside.socket, { destination: "169.254.1.1", prefixLength: 32, link: index });
  addRoute(inside.socket, { destination: "0.0.0.0", prefixLength: 0, gateway: "169.254.1.1", link: index });
  addNeighbour(inside.socket, index, { address: "169.254.1.1", hardware: Uint8Array.of(0xee, 0xee, 0xee, 0xee, 0xee, 0xee) });
  return { inside, host, path: inside.fd.procPath };
}

const routesOf = (interfaces: readonly GuestInterface[]) => interfaces[0]?.routes.filter(({ destination }) => !destination.startsWith("fe80")).map((route) => JSON.stringify(route)).sort();

defineCases({
  "host": () => {
    const { inside, host, path } = pod();
    const { cards, interfaces } = connectNetwork(path);
    const [one] = interfaces;
    return {
      cards: cards.map(({ mac, mtu }) => ({ isIts: mac === formatMac(getLink(inside.socket, "eth0").address), mtu })),
      name: one?.name, addresses: one?.addresses, routes: routesOf(interfaces), neighbours: one?.neighbours,
      inside: listLinks(inside.socket).map(({ name, mtu, up }) => [name, mtu, up]), stillOnHost: listLinks(host.socket).map(({ name }) => name),
      again: messageOf(() => connectNetwork(path)),
    };
  },
  "a machine after another": () => {
    const { path } = pod();
    connectNetwork(path).cards.forEach(({ tap }) => tap.close());
    return connectNetwork(path).cards.length;
  },
  "own": () => {
    const { fd } = newNamespace();
    return messageOf(() => connectNetwork(fd.procPath));
  },
  "none": () => {
    const { fd } = newNamespace();
    const empty = newNamespace();
    setNamespace(fd, CLONE_NEW.net, "net");
    const specs = [{}, { linux: { namespaces: [{ type: "network" }] } }, { linux: { namespaces: [{ type: "network", path: empty.fd.procPath }] } }];
    return specs.map((spec) => connectNetwork(networkOf(spec as Spec)));
  },
  "guest": () => {
    const { path } = pod();
    const { interfaces } = connectNetwork(path);
    const { socket } = newNamespace();
    // In the place of virtio-net's: a link with that address, and another.
    createVethPair(socket, "eth0", "eth1");
    for (const name of ["eth0", "eth1"]) setLinkUp(socket, name);
    const target = getLink(socket, "eth0");
    const told = interfaces.map((one) => ({ ...one, mac: formatMac(target.address) }));
    configureNetwork(told);
    // Another container's in the same machine.
    configureNetwork(told);
    const routes = listRoutes(socket, "ipv4").map((route) => ({ ...route, link: route.link === target.index }));
    return {
      addresses: listAddresses(socket, target.index).map(({ address, prefixLength, broadcast }) => ({ address, prefixLength, broadcast })).filter(({ address }) => !address.startsWith("fe80")),
      routes, neighbours: listNeighbours(socket, target.index).map(({ address, hardware }) => [address, formatMac(hardware)]),
      absent: messageOf(() => configureNetwork([{ ...interfaces[0], mac: "02:00:00:00:00:99" } as GuestInterface])),
    };
  },
  "a clone": () => {
    const { socket } = newNamespace();
    createVethPair(socket, "eth0", "eth1");
    setLinkUp(socket, "eth1");
    const { address: was } = getLink(socket, "eth0");
    const original: GuestInterface = {
      name: "eth0", mac: formatMac(was), mtu: 1500, addresses: [{ address: "10.99.0.2", prefixLength: 24 }, { address: "10.99.0.9", prefixLength: 24 }, { address: "2001:db8::2", prefixLength: 64 }],
      routes: [{ destination: "0.0.0.0", prefixLength: 0, gateway: "10.99.0.1" }], neighbours: [{ address: "10.99.0.1", mac: "ee:ee:ee:ee:ee:ee" }],
    };
    configureNetwork([original]);
    const clone: GuestInterface = {
      name: "net0", mac: "02:00:00:00:00:77", mtu: 1400, addresses: [{ address: "10.97.0.3", prefixLength: 24 }],
      routes: [{ destination: "0.0.0.0", prefixLength: 0, gateway: "10.97.0.1" }], neighbours: [],
    };
    configureNetwork(inPlaceOf([original.mac], [clone]));
    const { index, mtu, address } = getLink(socket, "net0");
    return {
      mac: formatMac(address), mtu, addresses: listAddresses(socket, index).filter((one) => !one.address.startsWith("fe80")).map((one) => `${one.address}/${one.prefixLength}`),
      routes: listRoutes(socket, "ipv4").map(({ destination, prefixLength, gateway }) => `${destination}/${prefixLength} ${gateway ?? ""}`), neighbours: listNeighbours(socket, index).length,
      others: messageOf(() => inPlaceOf([], [clone])),
    };
  },
  "renamed": () => {
    const { socket } = newNamespace();
    createVethPair(socket, "eth0", "eth1");
    const { address } = getLink(socket, "eth0");
    configureNetwork([{ name: "net1", mac: formatMac(address), mtu: 1500, addresses: [], routes: [], neighbours: [] }]);
    return listLinks(socket).map(({ name, up }) => [name, up]);
  },
});
