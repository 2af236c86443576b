/** A machine's network as its guest is told of it, and as the agent sets it up: what the pod's network namespace has, the guest has. */
import { EEXIST } from "../../linux/abi/errno.ts";
import { isErrno } from "../../linux/errors.ts";
import { addAddress, deleteAddress, listAddresses, type Address } from "../../linux/netlink/address.ts";
import { listLinks, renameLink, setLinkAddress, setLinkDown, setLinkMtu, setLinkUp, type Link } from "../../linux/netlink/link.ts";
import { addNeighbour } from "../../linux/netlink/neighbour.ts";
import { addRoute, type Route } from "../../linux/netlink/route.ts";
import { openRoute, type RouteSocket } from "../../linux/netlink/route-socket.ts";

export interface GuestInterface {
  readonly name: string;
  /** By it the guest finds the device: six bytes in hexadecimal, with colons. */
  readonly mac: string;
  /** In a clone: the device's address in the original, by which its guest knows it still. */
  readonly was?: string | undefined;
  /** Bytes. */
  readonly mtu: number;
  readonly addresses: readonly Address[];
  /** Without their link. */
  readonly routes: readonly Route[];
  readonly neighbours: readonly { readonly address: string; readonly mac: string }[];
}

export const formatMac = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
const parseMac = (text: string): Uint8Array => Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));

/** In the guest. @throws SysError; Error where there is no such device */
export function configureNetwork(interfaces: readonly GuestInterface[]): void {
  if (interfaces.length === 0) return;
  using socket = openRoute();
  for (const wanted of interfaces) configure(socket, wanted);
}

function configure(socket: RouteSocket, wanted: GuestInterface): void {
  const { name, mac, was, addresses, routes, neighbours } = wanted;
  const link = listLinks(socket).find(({ address }) => formatMac(address) === (was ?? mac));
  if (link === undefined) throw new Error(`the guest has no network device ${was ?? mac}`);
  if (was !== undefined) forget(socket, link, wanted);
  if (link.name !== name) renameLink(socket, link, name);
  setLinkUp(socket, name);
  for (const address of addresses) once(() => addAddress(socket, link.index, address));
  for (const neighbour of neighbours) addNeighbour(socket, link.index, { address: neighbour.address, hardware: parseMac(neighbour.mac) });
  // A gateway must be reached before there can be a route by it.
  for (const route of routes.toSorted((a, b) => Number(a.gateway !== undefined) - Number(b.gateway !== undefined))) once(() => addRoute(socket, { ...route, link: link.index }));
}

/** What the original had. A device takes no larger packets than it did when its driver found it. */
function forget(socket: RouteSocket, link: Link, { mac, mtu }: GuestInterface): void {
  setLinkDown(socket, link.name);
  // The first of a network takes the others along.
  for (const address of listAddresses(socket, link.index).toReversed()) deleteAddress(socket, link.index, address);
  setLinkAddress(socket, link.name, parseMac(mac));
  if (mtu < link.mtu) setLinkMtu(socket, link.name, mtu);
}

/** The kernel makes the route to an address's own network by itself. */
function once(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!isErrno(error, EEXIST)) throw error;
  }
}
