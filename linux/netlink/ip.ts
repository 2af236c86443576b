/** IP addresses between text and the 4 or 16 bytes in network order that the kernel takes. Source: RFC 4291 section 2.2, RFC 5952. */
import { isIPv4, isIPv6 } from "node:net";
import { AF_INET, AF_INET6 } from "../abi/rtnetlink.ts";

/** @throws RangeError where `text` is neither an IPv4 nor an IPv6 address; a zone (`%eth0`) is none. */
export function parseIp(text: string): Uint8Array {
  if (isIPv4(text)) return new Uint8Array(text.split(".").map(Number));
  if (!isIPv6(text) || text.includes("%")) throw new RangeError(`not an IP address: ${JSON.stringify(text)}`);
  const [head = "", tail] = text.split("::");
  const front = groupBytes(head);
  const back = tail === undefined ? [] : groupBytes(tail);
  return new Uint8Array([...front, ...Array.from({ length: 16 - front.length - back.length }, () => 0), ...back]);
}

/** The bytes of colon-separated groups, the last of which may be an IPv4 address. */
function groupBytes(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** @throws RangeError where there are neither 4 nor 16 bytes. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new RangeError(`not an IP address: ${bytes.length} bytes`);
  const groups = Array.from({ length: 8 }, (_, i) => (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16));
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

function longestZeroRun(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === "0") end++;
    if (end - start > best.length) best = { start, length: end - start };
  }
  return best;
}

/** `AF_INET` or `AF_INET6`. */
export function ipFamily(bytes: Uint8Array): number {
  return bytes.length === 4 ? AF_INET : AF_INET6;
}
