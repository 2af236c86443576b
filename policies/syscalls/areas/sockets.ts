import { bits, int, named, when } from "../checks.ts";
import { denied, native } from "../row.ts";
import type { Area, Case } from "../row.ts";
import { levels, socketOptions } from "./socket-options.ts";

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const STREAM = 1;
const DGRAM = 2;
const RAW = 3;
const SEQPACKET = 5;

/** Without SOCK_CLOEXEC and SOCK_NONBLOCK (linux/net.h). */
const TYPE_MASK = 0xffff_ffff & ~(0o200_0000 | 0o4000);

const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_ICMPV6 = 58;
const NETLINK_ROUTE = 0;

interface Kind {
  readonly family: number;
  readonly type: number;
  readonly protocols: readonly number[];
}

const unix = [STREAM, DGRAM, SEQPACKET].map((type): Kind => ({ family: AF_UNIX, type, protocols: [0] }));

const internet = [
  { family: AF_INET, type: STREAM, protocols: [0, IPPROTO_TCP] },
  { family: AF_INET6, type: STREAM, protocols: [0, IPPROTO_TCP] },
  { family: AF_INET, type: DGRAM, protocols: [0, IPPROTO_UDP, IPPROTO_ICMP] },
  { family: AF_INET6, type: DGRAM, protocols: [0, IPPROTO_UDP, IPPROTO_ICMPV6] },
];

const route = [DGRAM, RAW].map((type): Kind => ({ family: AF_NETLINK, type, protocols: [NETLINK_ROUTE] }));

const kinds = (what: string, list: readonly Kind[]): Case => ({
  what,
  anyOf: list.flatMap(({ family, type, protocols }) => protocols.map((protocol) => [int(0, family), bits(1, TYPE_MASK, type), int(2, protocol)])),
  outcome: native,
});

// What the kernel answers for a family, a type, a protocol that it does not have (socket(2)).
const refusedWithin = (name: string, family: number, types: readonly number[]): Case[] => [
  {
    what: `${name} with another protocol`,
    anyOf: types.map((type) => [int(0, family), bits(1, TYPE_MASK, type)]),
    outcome: denied("EPROTONOSUPPORT"),
  },
  when(`${name} with another type`, [int(0, family)], denied("ESOCKTNOSUPPORT")),
];

const raw = (name: string, family: number): Case => when(`${name} with SOCK_RAW`, [int(0, family), bits(1, TYPE_MASK, RAW)], denied("EPERM"));

const options: readonly Case[] = Object.entries(levels).map(([level, number]) =>
  named(2, socketOptions[level as keyof typeof levels], native, [int(1, number)]),
);

export const sockets: Area = {
  title: "Sockets",
  groups: [
    {
      reason:
        "Three families, in the own network namespace, and asking netlink for its interfaces and addresses. Left out, as a kernel without them: raw and " +
        "packet sockets, MPTCP, SCTP, VSOCK (which leads to the hypervisor past every namespace), ALG, netfilter's and all other netlink, and some forty more families",
      names: "socket",
      cases: [
        kinds("AF_UNIX: stream, datagram, seqpacket", unix),
        kinds("AF_INET, AF_INET6: TCP, UDP, and echo requests where ping_group_range allows them", internet),
        kinds("AF_NETLINK: NETLINK_ROUTE", route),
        raw("AF_INET", AF_INET),
        raw("AF_INET6", AF_INET6),
        ...refusedWithin("AF_INET", AF_INET, [STREAM, DGRAM]),
        ...refusedWithin("AF_INET6", AF_INET6, [STREAM, DGRAM]),
        ...refusedWithin("AF_NETLINK", AF_NETLINK, [RAW, DGRAM]),
        when("AF_UNIX otherwise", [int(0, AF_UNIX)], denied("ESOCKTNOSUPPORT")),
      ],
      outcome: denied("EAFNOSUPPORT"),
    },
    {
      reason: "Pairs exist of AF_UNIX alone",
      names: "socketpair",
      cases: [kinds("AF_UNIX: stream, datagram, seqpacket", unix), when("AF_UNIX otherwise", [int(0, AF_UNIX)], denied("ESOCKTNOSUPPORT"))],
      outcome: denied("EAFNOSUPPORT"),
    },
    {
      reason:
        "By level and option. Left out: netfilter's tables, BPF programs on sockets, TLS and other layers in the kernel (TCP_ULP), UDP encapsulation, zero copy, " +
        "IPsec policies, checkpointing",
      names: "setsockopt getsockopt",
      cases: options,
      outcome: denied("ENOPROTOOPT"),
    },
    {
      reason: "What sockets reach is bounded by the network namespace, and for names of unix sockets by the guest's mounts; native, so that SO_PEERCRED names the guest",
      names: "bind connect listen accept4 getsockname getpeername shutdown",
      outcome: native,
    },
    { reason: "Data, and descriptors to other tasks of the sandbox", names: "sendto recvfrom sendmsg recvmsg", outcome: native },
  ],
  forms: { accept: "accept4", sendmmsg: "sendmsg", recvmmsg: "recvmsg" },
};
