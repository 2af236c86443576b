/** Neighbours that an administrator has set: hardware addresses that are not asked for. Source: rtnetlink(7), Linux Documentation/netlink/specs/rt-neigh.yaml. */
import { NLM_F_CREATE } from "../abi/netlink.ts";
import * as rt from "../abi/rtnetlink.ts";
import { formatIp, ipFamily, parseIp } from "./ip.ts";
import { attribute, concat, decodeAttributes, viewOf } from "./message.ts";
import type { RouteSocket } from "./route-socket.ts";

const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;
const NDMSG_SIZE = 12;
const NUD_PERMANENT = 0x80;
const NDA_DST = 1;
const NDA_LLADDR = 2;
/** Of Ethernet. */
const MAC_SIZE = 6;

export interface Neighbour {
  readonly address: string;
  /** Six bytes. */
  readonly hardware: Uint8Array;
}

/** struct ndmsg. */
function ndmsg(family: number, link: number, state: number): Uint8Array {
  const bytes = new Uint8Array(NDMSG_SIZE);
  const view = viewOf(bytes);
  view.setUint8(0, family);
  view.setInt32(4, link, true);
  view.setUint16(8, state, true);
  return bytes;
}

/** The permanent ones of link `index`, of both families. */
export function listNeighbours(socket: RouteSocket, index: number): Neighbour[] {
  // A dump that is checked strictly takes no filter in its header.
  return socket.dump(RTM_GETNEIGH, ndmsg(rt.AF_UNSPEC, 0, 0), "neighbours").flatMap(({ body }) => {
    const view = viewOf(body);
    const attributes = decodeAttributes(body.subarray(NDMSG_SIZE));
    const [address, hardware] = [attributes.get(NDA_DST), attributes.get(NDA_LLADDR)];
    const wanted = view.getInt32(4, true) === index && (view.getUint16(8, true) & NUD_PERMANENT) !== 0;
    return wanted && address !== undefined && hardware?.length === MAC_SIZE ? [{ address: formatIp(address), hardware }] : [];
  });
}

/** A permanent one. @throws SysError; RangeError for what is no address */
export function addNeighbour(socket: RouteSocket, index: number, { address, hardware }: Neighbour): void {
  const ip = parseIp(address);
  const body = concat([ndmsg(ipFamily(ip), index, NUD_PERMANENT), attribute(NDA_DST, ip), attribute(NDA_LLADDR, hardware)]);
  socket.change(RTM_NEWNEIGH, NLM_F_CREATE, body, `neighbour ${address}`);
}
