/** Network interfaces: find, list, raise, move, create, delete. Source: rtnetlink(7), Linux Documentation/netlink/specs/rt-link.yaml. */
import { EINVAL } from "../abi/errno.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../abi/netlink.ts";
import * as rt from "../abi/rtnetlink.ts";
import { SysError } from "../errors.ts";
import { fdNumber, type FdLike } from "../fd.ts";
import {
  attribute, concat, decodeAttributes, nestedAttribute, type NetlinkMessage, textAttribute, textOf, u32Attribute, u32Of, viewOf,
} from "./message.ts";
import type { RouteSocket } from "./route-socket.ts";

export interface Link {
  /** From 1, unique in its network namespace. */
  readonly index: number;
  readonly name: string;
  /** `IFF_*`. */
  readonly flags: number;
  readonly up: boolean;
  /** Bytes. */
  readonly mtu: number;
  /** Hardware address; empty where the link has none. */
  readonly address: Uint8Array;
  /** `veth`, `bridge` ...; undefined for loopback and hardware. */
  readonly kind: string | undefined;
}

function decodeLink(message: NetlinkMessage): Link {
  const { index, flags } = rt.decodeIfInfo(viewOf(message.body));
  const attributes = decodeAttributes(message.body.subarray(rt.IFINFOMSG_SIZE));
  const info = attributes.get(rt.IFLA_LINKINFO);
  return {
    index,
    flags,
    up: (flags & rt.IFF_UP) !== 0,
    name: textOf(attributes, rt.IFLA_IFNAME) ?? "",
    mtu: u32Of(attributes, rt.IFLA_MTU) ?? 0,
    address: attributes.get(rt.IFLA_ADDRESS) ?? new Uint8Array(),
    kind: info === undefined ? undefined : textOf(decodeAttributes(info), rt.IFLA_INFO_KIND),
  };
}

const nobody = { index: 0, flags: 0, change: 0 };

/**
 * @throws SysError EINVAL for a name the kernel would cut, refuse or take for a template (`%d`): 1 to 15 bytes, no `/`, `:`, `%` or white
 * space. Source: Linux net/core/dev.c, dev_valid_name and dev_get_valid_name.
 */
function nameAttribute(name: string): Uint8Array {
  const valid = /^[^/:%\s\0]+$/.test(name) && Buffer.byteLength(name) < rt.IFNAMSIZ && name !== "." && name !== "..";
  if (!valid) throw new SysError({ syscall: "netlink", errno: EINVAL, path: `link ${JSON.stringify(name)}`, hint: "not a name for a network device" });
  return textAttribute(rt.IFLA_IFNAME, name);
}

/** A template: the kernel puts the first free number in the place of its `%d`. Source: Linux net/core/dev.c, __dev_alloc_name. */
export const isNameTemplate = (name: string): boolean => name.includes("%d");

/** A name or a template. */
function newNameAttribute(name: string): Uint8Array {
  if (!isNameTemplate(name)) return nameAttribute(name);
  nameAttribute(name.replace("%d", "0"));
  return textAttribute(rt.IFLA_IFNAME, name);
}

/** @throws SysError ENODEV where there is none of that name. */
export function getLink(socket: RouteSocket, name: string): Link {
  return decodeLink(socket.get(rt.RTM_GETLINK, concat([rt.encodeIfInfo(nobody), nameAttribute(name)]), `link ${name}`));
}

export function listLinks(socket: RouteSocket): Link[] {
  return socket.dump(rt.RTM_GETLINK, rt.encodeIfInfo(nobody), "links").map(decodeLink);
}

/** Brings a link up. @throws SysError ENODEV, EPERM without CAP_NET_ADMIN in the namespace's user namespace. */
export function setLinkUp(socket: RouteSocket, name: string): void {
  const header = rt.encodeIfInfo({ index: 0, flags: rt.IFF_UP, change: rt.IFF_UP });
  socket.change(rt.RTM_NEWLINK, 0, concat([header, nameAttribute(name)]), `link ${name} up`);
}

/** Takes a link down: it loses its routes, neighbours and IPv6 addresses. @throws SysError ENODEV */
export function setLinkDown(socket: RouteSocket, name: string): void {
  const header = rt.encodeIfInfo({ index: 0, flags: 0, change: rt.IFF_UP });
  socket.change(rt.RTM_NEWLINK, 0, concat([header, nameAttribute(name)]), `link ${name} down`);
}

/** @param address hardware address. @throws SysError EADDRNOTAVAIL for one of a group; EBUSY where the device must be down for it */
export function setLinkAddress(socket: RouteSocket, name: string, address: Uint8Array): void {
  socket.change(rt.RTM_NEWLINK, 0, concat([rt.encodeIfInfo(nobody), nameAttribute(name), attribute(rt.IFLA_ADDRESS, address)]), `link ${name} address`);
}

/** @param mtu bytes. @throws SysError EINVAL where the link cannot have that */
export function setLinkMtu(socket: RouteSocket, name: string, mtu: number): void {
  socket.change(rt.RTM_NEWLINK, 0, concat([rt.encodeIfInfo(nobody), nameAttribute(name), u32Attribute(rt.IFLA_MTU, mtu)]), `link ${name} mtu ${mtu}`);
}

/** Gives a link, which is down, another name. @throws SysError EEXIST, EBUSY where it is up */
export function renameLink(socket: RouteSocket, { index, name }: Link, newName: string): void {
  socket.change(rt.RTM_NEWLINK, 0, concat([rt.encodeIfInfo({ index, flags: 0, change: 0 }), nameAttribute(newName)]), `rename link ${name} to ${newName}`);
}

/**
 * Moves a link into another network namespace, under a new name, in one step: there it is down, has lost its addresses and routes, and
 * may have another index. A new name with `%d` gets the first free number there. `loopback` and other links bound to their namespace are refused with EINVAL.
 * @throws SysError EEXIST where the name is taken there.
 */
export function moveLink(socket: RouteSocket, name: string, namespace: FdLike, newName = name): void {
  const { index } = getLink(socket, name);
  const header = rt.encodeIfInfo({ index, flags: 0, change: 0 });
  const target = u32Attribute(rt.IFLA_NET_NS_FD, fdNumber(namespace));
  socket.change(rt.RTM_NEWLINK, 0, concat([header, target, newNameAttribute(newName)]), `move link ${name} as ${newName}`);
}

/** Two ends of one wire, both in this namespace and down. @throws SysError EEXIST */
export function createVethPair(socket: RouteSocket, name: string, peer: string): void {
  const header = rt.encodeIfInfo(nobody);
  const peerInfo = nestedAttribute(rt.VETH_INFO_PEER, [header, nameAttribute(peer)]);
  const info = nestedAttribute(rt.IFLA_LINKINFO, [
    textAttribute(rt.IFLA_INFO_KIND, "veth"),
    nestedAttribute(rt.IFLA_INFO_DATA, [peerInfo]),
  ]);
  socket.change(rt.RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, concat([header, nameAttribute(name), info]), `create veth ${name}`);
}

export function deleteLink(socket: RouteSocket, name: string): void {
  socket.change(rt.RTM_DELLINK, 0, concat([rt.encodeIfInfo(nobody), nameAttribute(name)]), `delete link ${name}`);
}
