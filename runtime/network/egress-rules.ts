/**
 * What a container may reach, as text: rules separated by `;` or line ends.
 *
 *   allow example.com:443          a name, and its addresses for as long as the name server says
 *   allow *.example.com            all names below it
 *   allow 10.0.0.0/8:5432-5439     addresses, a port or several
 *   allow [2001:db8::]/32:443
 *   deny 10.1.0.0/16
 *   allow *                        everything that is not denied
 *
 * `deny` goes before `allow`, in whatever order they stand. Where nothing is allowed, everything is that is not denied. Addresses at which clouds tell
 * machines their credentials are denied unless a rule allows that very address.
 */
import { isIP } from "node:net";
import { parseIp } from "../../linux/netlink/ip.ts";

/** The annotation. */
export const EGRESS = "dev.tssandbox.egress";

export interface Ports {
  readonly first: number;
  readonly last: number;
}

export type Target =
  /** 4 or 16 bytes. */
  | { readonly kind: "network"; readonly address: Uint8Array; readonly prefix: number; readonly ports: Ports | undefined }
  /** Lower case; `*.` before it stands for everything below. */
  | { readonly kind: "name"; readonly name: string; readonly ports: Ports | undefined }
  | { readonly kind: "all"; readonly ports: Ports | undefined };

export interface EgressRule {
  readonly action: "allow" | "deny";
  readonly target: Target;
}

/** In the order in which they are tried; what none of them matches is allowed or not by `otherwise`. */
export interface EgressRules {
  readonly rules: readonly EgressRule[];
  readonly otherwise: "allow" | "deny";
}

/** AWS, Azure, GCP and most others; AWS by IPv6; Alibaba; Azure's host; Oracle's IPv6. */
const METADATA = ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "fd00:c1::a9fe:a9fe"];

/** @throws Error naming the rule that means nothing. */
export function parseEgress(text: string): EgressRules {
  const given = text.split(/[;\n]/).map((rule) => rule.trim()).filter((rule) => rule !== "").map(parseRule);
  const allowed = given.filter(({ action }) => action === "allow");
  const metadata = METADATA.map((address): EgressRule => ({ action: "deny", target: { kind: "network", address: parseIp(address), prefix: parseIp(address).length * 8, ports: undefined } }));
  const named = allowed.filter(({ target }) => metadata.some((denied) => isSameAddress(target, denied.target)));
  const denied = given.filter(({ action }) => action === "deny");
  return { rules: [...denied, ...named, ...metadata, ...allowed.filter((rule) => !named.includes(rule))], otherwise: allowed.length === 0 ? "allow" : "deny" };
}

function isSameAddress(a: Target, b: Target): boolean {
  return a.kind === "network" && b.kind === "network" && a.prefix === b.prefix && Buffer.from(a.address).equals(b.address);
}

function parseRule(text: string): EgressRule {
  const [, action, target] = /^(allow|deny)\s+(\S+)$/.exec(text) ?? [];
  if ((action !== "allow" && action !== "deny") || target === undefined) throw new Error(`${JSON.stringify(text)}: a rule is "allow TARGET" or "deny TARGET"`);
  return { action, target: parseTarget(target) };
}

const TARGET = /^(?:\[(?<v6>[0-9A-Fa-f:.]+)\]|(?<host>[^:/[\]]+))(?:\/(?<prefix>\d{1,3}))?(?::(?<first>\d{1,5})(?:-(?<last>\d{1,5}))?)?$/;

/** @throws Error for what is neither an address, a network nor a name. */
export function parseTarget(text: string): Target {
  // Without brackets an IPv6 address has no port.
  const parts = TARGET.exec(isIP(text.replace(/\/\d+$/, "")) === 6 ? text.replace(/^[^/]+/, "[$&]") : text)?.groups;
  if (parts === undefined) throw new Error(`${JSON.stringify(text)} is not an address, a network or a name, with a port or without`);
  const { v6, host = "", prefix, first, last = first } = parts;
  const ports = first === undefined ? undefined : parsePorts(text, Number(first), Number(last));
  if (v6 !== undefined || isIP(host) === 4) return { ...parseNetwork(text, v6 ?? host, prefix), ports };
  if (prefix !== undefined) throw new Error(`${JSON.stringify(text)}: only an address has a prefix`);
  return host === "*" ? { kind: "all", ports } : { kind: "name", name: parseName(text, host), ports };
}

function parsePorts(text: string, first: number, last: number): Ports {
  if (first < 1 || last > 65_535 || first > last) throw new Error(`${JSON.stringify(text)}: ports are 1 to 65535`);
  return { first, last };
}

function parseNetwork(text: string, ip: string, prefix: string | undefined): { kind: "network"; address: Uint8Array; prefix: number } {
  const address = parseIp(ip);
  const bits = prefix === undefined ? address.length * 8 : Number(prefix);
  if (bits > address.length * 8) throw new Error(`${JSON.stringify(text)}: the prefix is longer than the address`);
  return { kind: "network", address, prefix: bits };
}

/** Source: RFC 1035 section 2.3.1, with underscores, which many have. */
const NAME = /^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

function parseName(text: string, host: string): string {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (!NAME.test(name) || name.length > 253 || /^[\d.]+$/.test(name)) throw new Error(`${JSON.stringify(text)} is not an address, a network or a name, with a port or without`);
  return name;
}

/** Whether a rule's name stands for `name`, which is in lower case, without a dot at its end. */
export function covers(pattern: string, name: string): boolean {
  return pattern.startsWith("*.") ? name.endsWith(pattern.slice(1)) : name === pattern;
}
