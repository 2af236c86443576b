/** Tables, chains, sets and rules of nf_tables as netlink commands: as much as rules for outgoing traffic take. Numbers are in network order. Source: nft(8), Linux net/netfilter/nf_tables_api.c. */
import { NLM_F_CREATE } from "../abi/netlink.ts";
import * as nf from "../abi/nftables.ts";
import { attribute, nestedAttribute, textAttribute, viewOf } from "./message.ts";
import type { Command } from "./netfilter-socket.ts";

/** nft(8)'s numbers for what a key is, by which it prints sets; the kernel does not look at them. */
const KEY_TYPE = { ipv4: 7, ipv6: 8 } as const;

const big = (bytes: number, value: number): Uint8Array => {
  const data = new Uint8Array(bytes);
  if (bytes === 8) viewOf(data).setBigUint64(0, BigInt(value), false);
  else if (bytes === 4) viewOf(data).setUint32(0, value, false);
  else viewOf(data).setUint16(0, value, false);
  return data;
};
const u32 = (type: number, value: number) => attribute(type, big(4, value));
const data = (type: number, value: Uint8Array) => nestedAttribute(type, [attribute(nf.NFTA_DATA.value, value)]);

/** What the kernel's own registers hold is in the machine's order. */
export function hostOrder(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

export const port = (number: number): Uint8Array => big(2, number);

export interface SetKind {
  readonly key: keyof typeof KEY_TYPE;
}

const KEY_LENGTH = { ipv4: 4, ipv6: 16 } as const;

export const newTable = (table: string): Command => ({ type: nf.NFT_MSG.newTable, flags: NLM_F_CREATE, attributes: [textAttribute(nf.NFTA_TABLE_NAME, table)] });

export const deleteTable = (table: string): Command => ({ type: nf.NFT_MSG.deleteTable, flags: 0, attributes: [textAttribute(nf.NFTA_TABLE_NAME, table)] });

export interface OutputChain {
  readonly name: string;
  readonly type: "filter" | "nat";
  readonly priority: number;
  readonly policy: "accept" | "drop";
}

/** On the way of what leaves processes of the network namespace. */
export function newOutputChain(table: string, { name, type, priority, policy }: OutputChain): Command {
  const hook = nestedAttribute(nf.NFTA_CHAIN.hook, [u32(nf.NFTA_HOOK.hooknum, nf.NF_INET_LOCAL_OUT), u32(nf.NFTA_HOOK.priority, priority >>> 0)]);
  return {
    type: nf.NFT_MSG.newChain,
    flags: NLM_F_CREATE,
    attributes: [textAttribute(nf.NFTA_CHAIN.table, table), textAttribute(nf.NFTA_CHAIN.name, name), hook, u32(nf.NFTA_CHAIN.policy, policy === "drop" ? nf.NF_DROP : nf.NF_ACCEPT), textAttribute(nf.NFTA_CHAIN.type, type)],
  };
}

/** A set of addresses whose elements end by themselves. @param id a number of its own within the batch. */
export function newAddressSet(table: string, name: string, { key }: SetKind, id: number): Command {
  return {
    type: nf.NFT_MSG.newSet,
    flags: NLM_F_CREATE,
    attributes: [
      textAttribute(nf.NFTA_SET.table, table), textAttribute(nf.NFTA_SET.name, name), u32(nf.NFTA_SET.flags, nf.NFT_SET_TIMEOUT),
      u32(nf.NFTA_SET.keyType, KEY_TYPE[key]), u32(nf.NFTA_SET.keyLength, KEY_LENGTH[key]), u32(nf.NFTA_SET.id, id),
    ],
  };
}

/** An element, for that long from now on also where it is there already: an element's time cannot be changed before Linux 6.12. */
export function renewElement(table: string, set: string, key: Uint8Array, seconds: number): Command[] {
  const add = elementCommand(nf.NFT_MSG.newElement, table, set, [data(nf.NFTA_ELEMENT.key, key), attribute(nf.NFTA_ELEMENT.timeout, big(8, seconds * 1000))]);
  return [add, elementCommand(nf.NFT_MSG.deleteElement, table, set, [data(nf.NFTA_ELEMENT.key, key)]), add];
}

function elementCommand(type: number, table: string, set: string, element: readonly Uint8Array[]): Command {
  const elements = nestedAttribute(nf.NFTA_ELEMENTS.elements, [nestedAttribute(nf.NFTA_LIST_ELEM, element)]);
  return { type, flags: type === nf.NFT_MSG.newElement ? NLM_F_CREATE : 0, attributes: [textAttribute(nf.NFTA_ELEMENTS.table, table), textAttribute(nf.NFTA_ELEMENTS.set, set), elements] };
}

/** One step of a rule, of which all are taken in order until one does not match. */
export type Expression = Uint8Array;

/** Appends it to the chain. */
export function newRule(table: string, chain: string, expressions: readonly Expression[]): Command {
  return {
    type: nf.NFT_MSG.newRule,
    flags: NLM_F_CREATE | NLM_F_APPEND,
    attributes: [textAttribute(nf.NFTA_RULE.table, table), textAttribute(nf.NFTA_RULE.chain, chain), nestedAttribute(nf.NFTA_RULE.expressions, expressions)],
  };
}

const NLM_F_APPEND = 0x800;

function expression(name: string, attributes: readonly Uint8Array[]): Expression {
  return nestedAttribute(nf.NFTA_LIST_ELEM, [textAttribute(nf.NFTA_EXPR.name, name), nestedAttribute(nf.NFTA_EXPR.data, attributes)]);
}

const loadMeta = (key: keyof typeof nf.NFT_META) => expression("meta", [u32(1, nf.NFT_REG_1), u32(2, nf.NFT_META[key])]);
const loadPayload = (base: keyof typeof nf.NFT_PAYLOAD, offset: number, length: number) => expression("payload", [u32(1, nf.NFT_REG_1), u32(2, nf.NFT_PAYLOAD[base]), u32(3, offset), u32(4, length)]);
const compare = (op: keyof typeof nf.NFT_CMP, value: Uint8Array) => expression("cmp", [u32(1, nf.NFT_REG_1), u32(2, nf.NFT_CMP[op]), data(3, value)]);
const mask = (value: Uint8Array) => expression("bitwise", [u32(1, nf.NFT_REG_1), u32(2, nf.NFT_REG_1), u32(3, value.length), data(4, value), data(5, new Uint8Array(value.length))]);

/** `meta KEY VALUE`, with the value as the register has it. */
export const metaIs = (key: keyof typeof nf.NFT_META, value: Uint8Array): Expression[] => [loadMeta(key), compare("eq", value)];

/** `ct state established,related`. */
export const isAnswer = (): Expression[] => [expression("ct", [u32(1, nf.NFT_REG_1), u32(2, nf.NFT_CT_STATE)]), mask(hostOrder(nf.CT_ESTABLISHED_OR_RELATED)), compare("neq", hostOrder(0))];

const DESTINATION = { 4: { protocol: nf.NFPROTO_IPV4, offset: 16 }, 16: { protocol: nf.NFPROTO_IPV6, offset: 24 } } as const;

function loadDestination(length: 4 | 16): Expression[] {
  const { protocol, offset } = DESTINATION[length];
  return [...metaIs("nfproto", new Uint8Array([protocol])), loadPayload("network", offset, length)];
}

/** `ip daddr ADDRESS/PREFIX`, or `ip6`. @param address 4 or 16 bytes. */
export function destinationIs(address: Uint8Array, prefix: number): Expression[] {
  const bits = Uint8Array.from(address, (_, i) => (0xff00 >> Math.min(Math.max(prefix - 8 * i, 0), 8)) & 0xff);
  const network = address.map((byte, i) => byte & (bits[i] ?? 0));
  return [...loadDestination(address.length as 4 | 16), mask(bits), compare("eq", network)];
}

/** `ip daddr @SET`. @param id of the set, where it is made by the same batch. */
export function destinationIn(set: string, { key }: SetKind, id: number): Expression[] {
  return [...loadDestination(KEY_LENGTH[key]), expression("lookup", [textAttribute(1, set), u32(2, nf.NFT_REG_1), u32(4, id)])];
}

/** `PROTOCOL dport FIRST-LAST`. @param protocol IPPROTO_*. */
export function portIn(protocol: number, first: number, last: number): Expression[] {
  return [...metaIs("l4proto", new Uint8Array([protocol])), loadPayload("transport", 2, 2), compare("gte", port(first)), compare("lte", port(last))];
}

/** `icmpv6 type FIRST-LAST`. */
export function icmpv6In(first: number, last: number): Expression[] {
  return [...metaIs("l4proto", new Uint8Array([IPPROTO_ICMPV6])), loadPayload("transport", 0, 1), compare("gte", new Uint8Array([first])), compare("lte", new Uint8Array([last]))];
}

const IPPROTO_ICMPV6 = 58;

export const accept = (): Expression => expression("immediate", [u32(1, nf.NFT_REG_VERDICT), nestedAttribute(2, [nestedAttribute(nf.NFTA_DATA.verdict, [u32(nf.NFTA_VERDICT_CODE, nf.NF_ACCEPT)])])]);

/** `limit rate N/second burst N packets log group GROUP`. */
export const logTo = (group: number, perSecond: number): Expression[] => [
  expression("limit", [attribute(1, big(8, perSecond)), attribute(2, big(8, 1)), u32(3, perSecond), u32(4, 0), u32(5, 0)]),
  expression("log", [attribute(1, big(2, group))]),
];

/** `counter reject with icmpx admin-prohibited`: the caller is told at once. */
export const reject = (): Expression[] => [expression("counter", []), expression("reject", [u32(1, nf.NFT_REJECT_ICMPX), attribute(2, new Uint8Array([nf.NFT_REJECT_ICMPX_ADMIN_PROHIBITED]))])];

/** `redirect to :PORT`. */
export const redirectTo = (number: number): Expression[] => [
  expression("immediate", [u32(1, nf.NFT_REG_1), data(2, port(number))]),
  expression("redir", [u32(1, nf.NFT_REG_1), u32(3, nf.NF_NAT_RANGE_PROTO_SPECIFIED)]),
];
