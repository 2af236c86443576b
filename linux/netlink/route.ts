/** Routes of the main table. Source: rtnetlink(7), Linux Documentation/netlink/specs/rt-route.yaml. */
import { NLM_F_CREATE, NLM_F_EXCL } from "../abi/netlink.ts";
import * as rt from "../abi/rtnetlink.ts";
import { formatIp, ipFamily, parseIp } from "./ip.ts";
import { attribute, concat, decodeAttributes, type NetlinkMessage, u32Attribute, u32Of, viewOf } from "./message.ts";
import type { RouteSocket } from "./route-socket.ts";

export interface Route {
  /** `0.0.0.0` or `::` with prefix length 0 is the default route. */
  readonly destination: string;
  readonly prefixLength: number;
  readonly gateway?: string | undefined;
  /** Our own address on packets that take it. */
  readonly source?: string | undefined;
  /** Number of the link it leaves by. */
  readonly link?: number | undefined;
  /** Metric; the kernel's own default where it is left out. */
  readonly priority?: number | undefined;
}

const UNSPECIFIED: Record<number, string> = { [rt.AF_INET]: "0.0.0.0", [rt.AF_INET6]: "::" };

function decodeRoute(message: NetlinkMessage): { readonly main: boolean; readonly route: Route } {
  const header = rt.decodeRtMsg(viewOf(message.body));
  const attributes = decodeAttributes(message.body.subarray(rt.RTMSG_SIZE));
  const destination = attributes.get(rt.RTA_DST);
  const gateway = attributes.get(rt.RTA_GATEWAY);
  const source = attributes.get(rt.RTA_PREFSRC);
  const table = u32Of(attributes, rt.RTA_TABLE) ?? header.table;
  return {
    main: table === rt.RT_TABLE_MAIN && header.type === rt.RTN_UNICAST,
    route: {
      destination: destination === undefined ? (UNSPECIFIED[header.family] ?? "") : formatIp(destination),
      prefixLength: header.prefixLength,
      gateway: gateway === undefined ? undefined : formatIp(gateway),
      source: source === undefined ? undefined : formatIp(source),
      link: u32Of(attributes, rt.RTA_OIF),
      priority: u32Of(attributes, rt.RTA_PRIORITY),
    },
  };
}

/** The unicast routes of the main table. */
export function listRoutes(socket: RouteSocket, family: "ipv4" | "ipv6"): Route[] {
  const request = rt.encodeRtMsg({
    family: family === "ipv4" ? rt.AF_INET : rt.AF_INET6,
    prefixLength: 0, table: 0, protocol: 0, scope: 0, type: 0,
  });
  const decoded = socket.dump(rt.RTM_GETROUTE, request, `${family} routes`).map(decodeRoute);
  return decoded.filter(({ main }) => main).map(({ route }) => route);
}

/** @throws SysError EEXIST, ENETUNREACH where the gateway cannot be reached; RangeError for what is no address. */
export function addRoute(socket: RouteSocket, route: Route): void {
  const destination = parseIp(route.destination);
  const header = rt.encodeRtMsg({
    family: ipFamily(destination),
    prefixLength: route.prefixLength,
    table: rt.RT_TABLE_MAIN,
    protocol: rt.RTPROT_STATIC,
    scope: route.gateway === undefined ? rt.RT_SCOPE_LINK : rt.RT_SCOPE_UNIVERSE,
    type: rt.RTN_UNICAST,
  });
  const attributes = [
    route.prefixLength === 0 ? undefined : attribute(rt.RTA_DST, destination),
    route.gateway === undefined ? undefined : attribute(rt.RTA_GATEWAY, parseIp(route.gateway)),
    route.source === undefined ? undefined : attribute(rt.RTA_PREFSRC, parseIp(route.source)),
    route.link === undefined ? undefined : u32Attribute(rt.RTA_OIF, route.link),
    route.priority === undefined ? undefined : u32Attribute(rt.RTA_PRIORITY, route.priority),
  ].filter((part) => part !== undefined);
  const what = `add route ${route.destination}/${route.prefixLength}`;
  socket.change(rt.RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, concat([header, ...attributes]), what);
}
