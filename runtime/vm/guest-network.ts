/** A machine's network as its guest is told of it, and as the agent sets it up: what the pod's network namespace has, the guest has. */
import { EEXIST } from "../../linux/abi/errno.ts";
import { isErrno } from "../../linux/errors.ts";
import { addAddress, type Address } from "../../linux/netlink/address.ts";
import { listLinks, renameLink, setLinkUp } from "../../linux/netlink/link.ts";
import { addNeighbour } from "../../linux/netlink/neighbour.ts";
import { addRoute, type Route } from "../../linux/netlink/route.ts";
import { openRoute, type RouteSocket } from "../../linux/netlink/route-socket.ts";

export interface GuestInterface {
  readonly name: string;
  /** By it the guest finds the device: six bytes in hexadecimal, with colons. */
  readonly mac: string;
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

function configure(socket: RouteSocket, { name, mac, addresses, routes, neighbours }: GuestInterface): void {
  const link = listLinks(socket).find(({ address }) => formatMac(address) === mac);
  if (link === undefined) throw new Error(`the guest has no network device ${mac}`);
  if (link.name !== name) renameLink(socket, link, name);
  setLinkUp(socket, name);
  for (const address of addresses) once(() => addAddress(socket, link.index, address));
  for (const neighbour of neighbours) addNeighbour(socket, link.index, { address: neighbour.address, hardware: parseMac(neighbour.mac) });
  // A gateway must be reached before there can be a route by it.
  for (const route of routes.toSorted((a, b) => Number(a.gateway !== undefined) - Number(b.gateway !== undefined))) once(() => addRoute(socket, { ...route, link: link.index }));
}

/** The kernel makes the route to an address's own network by itself. */
function once(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!isErrno(error, EEXIST)) throw error;
  }
}
