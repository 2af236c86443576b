/**
 * The host's side of a machine's network: the pod's network namespace, as an engine has made it, and what connects it with the guest.
 *
 *   host's end of a veth ── eth0 ⇄ tssb0 ── the VMM's descriptor ── virtio-net ── eth0 of the guest
 *                           └ the pod's network namespace ┘
 *
 * What eth0 receives leaves by the tap, and what the tap receives by eth0 (linux/netlink/traffic.ts): the namespace's own network code sees
 * neither. The guest has eth0's hardware address, its addresses and routes; seen from outside, nothing has changed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { EBUSY } from "../../linux/abi/errno.ts";
import { IFF_LOOPBACK } from "../../linux/abi/rtnetlink.ts";
import { inStep, isErrno } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { open, statAt } from "../../linux/file.ts";
import { openTap } from "../../linux/kvm-tap.ts";
import { CLONE_NEW, setNamespace } from "../../linux/namespace.ts";
import { isPermanentGlobal, listAddresses } from "../../linux/netlink/address.ts";
import { getLink, listLinks, setLinkMtu, setLinkUp, type Link } from "../../linux/netlink/link.ts";
import { listNeighbours } from "../../linux/netlink/neighbour.ts";
import { listRoutes } from "../../linux/netlink/route.ts";
import { openRoute, type RouteSocket } from "../../linux/netlink/route-socket.ts";
import { redirectAll } from "../../linux/netlink/traffic.ts";
import type { Spec } from "../spec/config.ts";
import { ConfigError } from "../spec/report.ts";
import { formatMac, type GuestInterface } from "./guest-network.ts";

/** A card of the machine's. */
export interface NetworkCard {
  readonly tap: Fd;
  readonly mac: string;
  readonly mtu: number;
}

export interface MachineNetwork {
  readonly cards: readonly NetworkCard[];
  readonly interfaces: readonly GuestInterface[];
}

export const NO_NETWORK: MachineNetwork = { cards: [], interfaces: [] };
const MAC_SIZE = 6;
const IFA_F_NODAD = 0x02;

/** The network namespace that a configuration joins. */
export const networkOf = ({ linux }: Spec): string | undefined => linux?.namespaces?.find(({ type }) => type === "network")?.path || undefined;

/**
 * Connects a network namespace. Without one the guest has its loopback.
 * Preconditions: a process of one thread. @throws SysError; ConfigError for the caller's own namespace, Error for one that has a machine
 */
export function connectNetwork(path: string | undefined): MachineNetwork {
  if (path === undefined) return NO_NETWORK;
  using namespace = open(path, fcntl.O_RDONLY);
  using home = open("/proc/thread-self/ns/net", fcntl.O_RDONLY);
  if (statAt(namespace).ino === statAt(home).ino) throw new ConfigError("config.json", "linux.namespaces", `${path} is the host's own network: a machine cannot share it, and must not take its traffic`);
  setNamespace(namespace, CLONE_NEW.net, path);
  try {
    return connectLinks();
  } finally {
    setNamespace(home, CLONE_NEW.net, "net");
  }
}

const CARDS = "cards.json";

/** The hardware addresses of a machine's cards, for a snapshot of it. @param directory of its container's state */
export const noteCards = (directory: string, cards: readonly NetworkCard[]): void => writeFileSync(`${directory}/${CARDS}`, JSON.stringify(cards.map(({ mac }) => mac)), { mode: 0o600 });
export const cardsOf = (directory: string): readonly string[] => JSON.parse(readFileSync(`${directory}/${CARDS}`, "utf8")) as readonly string[];

/** What a clone's guest is told. @param cards the original's. @throws Error where there are more or fewer now */
export function inPlaceOf(cards: readonly string[], interfaces: readonly GuestInterface[]): readonly GuestInterface[] {
  if (cards.length !== interfaces.length) throw new Error(`the snapshot's machine has ${cards.length} network devices, the network namespace ${interfaces.length}`);
  return interfaces.map((one, i) => ({ ...one, was: cards[i] }));
}

function connectLinks(): MachineNetwork {
  using socket = openRoute();
  const links = listLinks(socket).filter(({ up, flags, address }) => up && (flags & IFF_LOOPBACK) === 0 && address.length === MAC_SIZE);
  return { cards: links.map((link, i) => connectLink(socket, link, `tssb${i}`)), interfaces: links.map((link) => describe(socket, link)) };
}

/** The tap goes when the VMM closes its descriptor. */
function connectLink(socket: RouteSocket, link: Link, name: string): NetworkCard {
  const tap = inStep(`tap ${name}`, () => openNewTap(name));
  const { index } = getLink(socket, name);
  setLinkMtu(socket, name, link.mtu);
  setLinkUp(socket, name);
  redirectAll(socket, index, link.index);
  redirectAll(socket, link.index, index);
  return { tap, mac: formatMac(link.address), mtu: link.mtu };
}

function openNewTap(name: string): Fd {
  try {
    return openTap(name);
  } catch (error) {
    if (isErrno(error, EBUSY)) throw new Error("the network namespace is connected with another machine", { cause: error });
    throw error;
  }
}

function describe(socket: RouteSocket, link: Link): GuestInterface {
  const routes = (["ipv4", "ipv6"] as const).flatMap((family) => listRoutes(socket, family)).filter((route) => route.link === link.index);
  return {
    name: link.name,
    mac: formatMac(link.address),
    mtu: link.mtu,
    // Whoever else had the address would have been found when it was set here.
    addresses: listAddresses(socket, link.index).filter(isPermanentGlobal).map(({ label: _label, ...address }) => ({ ...address, flags: (address.flags ?? 0) | IFA_F_NODAD })),
    routes: routes.map(({ link: _link, ...route }) => route),
    neighbours: listNeighbours(socket, link.index).map(({ address, hardware }) => ({ address, mac: formatMac(hardware) })),
  };
}
