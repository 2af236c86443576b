/**
 * Links, addresses and routes over netlink. Source: rtnetlink(7), Linux include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h, if.h,
 * veth.h.
 */

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_GETROUTE = 26;

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;

export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFNAMSIZ = 16;

export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_LINKINFO = 18;
export const IFLA_NET_NS_FD = 28;
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
export const VETH_INFO_PEER = 1;

export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_LABEL = 3;
export const IFA_BROADCAST = 4;
export const IFA_CACHEINFO = 6;
export const IFA_FLAGS = 8;
export const IFA_RT_PRIORITY = 9;
export const IFA_F_NODAD = 0x02;
export const IFA_F_PERMANENT = 0x80;
export const IFA_F_NOPREFIXROUTE = 0x200;

export const RTA_DST = 1;
export const RTA_OIF = 4;
export const RTA_GATEWAY = 5;
export const RTA_PRIORITY = 6;
export const RTA_PREFSRC = 7;
export const RTA_TABLE = 15;

export const RT_TABLE_MAIN = 254;
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
export const RTPROT_STATIC = 4;
export const RTN_UNICAST = 1;

/** Sizes of struct ifinfomsg, struct ifaddrmsg, struct rtmsg. */
export const IFINFOMSG_SIZE = 16;
export const IFADDRMSG_SIZE = 8;
export const RTMSG_SIZE = 12;

/** struct ifinfomsg. Flags outside `change` are left as they are. */
export interface IfInfo {
  /** Interface number, from 1; 0 where the request names it otherwise. */
  readonly index: number;
  /** `IFF_*`. */
  readonly flags: number;
  readonly change: number;
}

export function encodeIfInfo({ index, flags, change }: IfInfo): Uint8Array {
  const view = new DataView(new ArrayBuffer(IFINFOMSG_SIZE));
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, change, true);
  return new Uint8Array(view.buffer);
}

export function decodeIfInfo(view: DataView): IfInfo {
  return { index: view.getInt32(4, true), flags: view.getUint32(8, true), change: view.getUint32(12, true) };
}

/** struct ifaddrmsg; its 8 flag bits are superseded by the IFA_FLAGS attribute. */
export interface IfAddr {
  readonly family: number;
  readonly prefixLength: number;
  readonly flags: number;
  readonly scope: number;
  readonly index: number;
}

export function encodeIfAddr({ family, prefixLength, flags, scope, index }: IfAddr): Uint8Array {
  const view = new DataView(new ArrayBuffer(IFADDRMSG_SIZE));
  for (const [offset, value] of [family, prefixLength, flags & 0xff, scope].entries()) view.setUint8(offset, value);
  view.setUint32(4, index, true);
  return new Uint8Array(view.buffer);
}

export function decodeIfAddr(view: DataView): IfAddr {
  return {
    family: view.getUint8(0),
    prefixLength: view.getUint8(1),
    flags: view.getUint8(2),
    scope: view.getUint8(3),
    index: view.getUint32(4, true),
  };
}

/** struct rtmsg, without the source prefix, the type of service and the flags. */
export interface RtMsg {
  readonly family: number;
  readonly prefixLength: number;
  /** The low 8 bits; the RTA_TABLE attribute has all of them. */
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  readonly type: number;
}

export function encodeRtMsg({ family, prefixLength, table, protocol, scope, type }: RtMsg): Uint8Array {
  const bytes = new Uint8Array(RTMSG_SIZE);
  bytes.set([family, prefixLength, 0, 0, table, protocol, scope, type]);
  return bytes;
}

export function decodeRtMsg(view: DataView): RtMsg {
  return {
    family: view.getUint8(0),
    prefixLength: view.getUint8(1),
    table: view.getUint8(4),
    protocol: view.getUint8(5),
    scope: view.getUint8(6),
    type: view.getUint8(7),
  };
}
