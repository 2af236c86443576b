/** Addresses of a link. Source: rtnetlink(7), Linux Documentation/netlink/specs/rt-addr.yaml. */
import { NLM_F_CREATE, NLM_F_EXCL } from "../abi/netlink.ts";
import * as rt from "../abi/rtnetlink.ts";
import { formatIp, ipFamily, parseIp } from "./ip.ts";
import { attribute, type Attributes, concat, decodeAttributes, type NetlinkMessage, textAttribute, textOf, u32Attribute, u32Of, viewOf } from "./message.ts";
import type { RouteSocket } from "./route-socket.ts";

export interface Address {
  /** IPv4 or IPv6 as text. */
  readonly address: string;
  /** 0 to 32 or 128. */
  readonly prefixLength: number;
  /** The other end of a point-to-point link. */
  readonly peer?: string | undefined;
  readonly broadcast?: string | undefined;
  /** `RT_SCOPE_*`; universe (global) where it is left out. */
  readonly scope?: number;
  /** `IFA_F_*`. */
  readonly flags?: number;
  /** IPv4 only: the link's name, perhaps with `:suffix`. */
  readonly label?: string | undefined;
  /** Metric of the prefix route. */
  readonly priority?: number | undefined;
}

function ipOf(attributes: Attributes, type: number): string | undefined {
  const value = attributes.get(type);
  return value === undefined ? undefined : formatIp(value);
}

/** IFA_ADDRESS is the peer's where there is one, else ours; IFA_LOCAL is ours, and IPv6 leaves it out without a peer. */
function decodeAddress(message: NetlinkMessage): Address {
  const header = rt.decodeIfAddr(viewOf(message.body));
  const attributes = decodeAttributes(message.body.subarray(rt.IFADDRMSG_SIZE));
  const remote = ipOf(attributes, rt.IFA_ADDRESS) ?? "";
  const local = ipOf(attributes, rt.IFA_LOCAL) ?? remote;
  return {
    address: local,
    prefixLength: header.prefixLength,
    peer: local === remote ? undefined : remote,
    broadcast: ipOf(attributes, rt.IFA_BROADCAST),
    scope: header.scope,
    flags: u32Of(attributes, rt.IFA_FLAGS) ?? header.flags,
    label: textOf(attributes, rt.IFA_LABEL),
    priority: u32Of(attributes, rt.IFA_RT_PRIORITY),
  };
}

/** All addresses of the link with number `index`, of both families. */
export function listAddresses(socket: RouteSocket, index: number): Address[] {
  const request = rt.encodeIfAddr({ family: rt.AF_UNSPEC, prefixLength: 0, flags: 0, scope: 0, index });
  return socket
    .dump(rt.RTM_GETADDR, request, `addresses of link ${index}`)
    .filter((message) => rt.decodeIfAddr(viewOf(message.body)).index === index)
    .map(decodeAddress);
}

/** Whether it was set by an administrator for use beyond the link: neither learned, nor temporary, nor link-local. */
export function isPermanentGlobal({ flags = 0, scope = rt.RT_SCOPE_UNIVERSE }: Address): boolean {
  return scope === rt.RT_SCOPE_UNIVERSE && (flags & rt.IFA_F_PERMANENT) !== 0;
}

/** Bits of `flags` that a request may carry; the rest tells a state. Source: ip-address(8). */
const SETTABLE_FLAGS = rt.IFA_F_NODAD | rt.IFA_F_NOPREFIXROUTE;

/** @throws SysError EADDRNOTAVAIL where the link does not have it */
export function deleteAddress(socket: RouteSocket, index: number, { address, prefixLength }: Address): void {
  const local = parseIp(address);
  const body = concat([rt.encodeIfAddr({ family: ipFamily(local), prefixLength, flags: 0, scope: 0, index }), attribute(rt.IFA_LOCAL, local)]);
  socket.change(rt.RTM_DELADDR, 0, body, `delete address ${address}/${prefixLength}`);
}

/** @throws SysError EEXIST; RangeError for what is no address. */
export function addAddress(socket: RouteSocket, index: number, address: Address): void {
  const local = parseIp(address.address);
  const { prefixLength, scope = rt.RT_SCOPE_UNIVERSE, flags = 0 } = address;
  const optional = [
    address.broadcast === undefined ? undefined : attribute(rt.IFA_BROADCAST, parseIp(address.broadcast)),
    address.label === undefined ? undefined : textAttribute(rt.IFA_LABEL, address.label),
    address.priority === undefined ? undefined : u32Attribute(rt.IFA_RT_PRIORITY, address.priority),
  ].filter((part) => part !== undefined);
  const body = concat([
    rt.encodeIfAddr({ family: ipFamily(local), prefixLength, flags: 0, scope, index }),
    attribute(rt.IFA_LOCAL, local),
    attribute(rt.IFA_ADDRESS, address.peer === undefined ? local : parseIp(address.peer)),
    u32Attribute(rt.IFA_FLAGS, flags & SETTABLE_FLAGS),
    ...optional,
  ]);
  socket.change(rt.RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body, `add address ${address.address}/${prefixLength}`);
}
