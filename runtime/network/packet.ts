/** Where a packet goes, from its first bytes. Source: RFC 791, RFC 8200; the ports stand first in TCP and UDP alike. */
import { formatIp } from "../../linux/netlink/ip.ts";
import { viewOf } from "../../linux/netlink/message.ts";

/** What has to be there: an IPv6 header and two ports. */
export const PACKET_BYTES = 44;

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6" };
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17]);

/** @returns for people: `tcp 192.0.2.1:443`; undefined for what is no IP packet. */
export function describeDestination(packet: Uint8Array): string | undefined {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 4 && packet.length >= 20) return describe(packet, packet[9] ?? 0, packet.slice(16, 20), ((packet[0] ?? 0) & 15) * 4);
  if (version === 6 && packet.length >= 40) return describe(packet, packet[6] ?? 0, packet.slice(24, 40), 40);
  return undefined;
}

function describe(packet: Uint8Array, protocol: number, address: Uint8Array, header: number): string {
  const name = PROTOCOLS[protocol] ?? `protocol ${protocol}`;
  if (!WITH_PORTS.has(protocol) || packet.length < header + 4) return `${name} ${formatIp(address)}`;
  const port = viewOf(packet).getUint16(header + 2, false);
  return `${name} ${address.length === 4 ? formatIp(address) : `[${formatIp(address)}]`}:${port}`;
}
