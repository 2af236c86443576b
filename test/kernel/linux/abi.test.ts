/**
 * Every number and struct in linux/abi/ and linux/arch.ts, compared with what the C compiler knows from the kernel's own headers. The list
 * is made from the modules' exports: what is exported and neither probed by its own name nor listed here makes the test fail.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CAPABILITIES } from "../../../linux/abi/capability.ts";
import { encodeOpenHow } from "../../../linux/abi/openat2.ts";
import * as rt from "../../../linux/abi/rtnetlink.ts";
import { SIGNALS } from "../../../linux/abi/signal.ts";
import { decodeSignalInfo } from "../../../linux/abi/signalfd.ts";
import { INTERFACE_COMMANDS } from "../../../linux/abi/socket.ts";
import { decodeStatx } from "../../../linux/abi/statx.ts";
import { ARCH, SYS } from "../../../linux/arch.ts";
import { projectRoot, workDir } from "../../support/paths.ts";

const HEADERS = [
  "stddef.h", "stdio.h", "string.h", "sys/socket.h", "sys/stat.h", "sys/eventfd.h", "sys/user.h", "unistd.h", "signal.h", "asm/unistd.h", "linux/audit.h",
  "linux/capability.h", "linux/close_range.h", "linux/errno.h", "linux/fcntl.h", "linux/filter.h", "linux/if.h", "linux/if_addr.h",
  "linux/if_link.h", "linux/kvm.h", "linux/landlock.h", "linux/limits.h", "linux/memfd.h", "linux/mempolicy.h", "linux/mount.h", "linux/netlink.h",
  "linux/openat2.h", "linux/poll.h", "linux/ptrace.h", "linux/rtnetlink.h", "linux/sched.h", "linux/signalfd.h", "linux/sockios.h", "linux/stat.h", "linux/veth.h",
  "linux/netfilter.h", "linux/netfilter/nf_conntrack_common.h", "linux/netfilter/nf_nat.h", "linux/netfilter/nf_tables.h", "linux/netfilter/nfnetlink.h", "linux/netfilter/nfnetlink_log.h", "linux/version.h", "linux/wait.h", "linux/xattr.h",
];

/** Our table of a struct -> the offsets of its members; the size of `size`. */
function offsets(table: string, struct: string, members: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(members).map(([name, member]) => [`${table}.${name}`, name === "size" ? `sizeof(${struct})` : `offsetof(${struct}, ${member})`]));
}

/** Ours -> the C expression, where it is not the name itself. */
const EXPRESSIONS: Record<string, string> = {
  OPEN_HOW_SIZE: "sizeof(struct open_how)",
  STATX_SIZE: "sizeof(struct statx)",
  STATX_BASIC: "STATX_BASIC_STATS",
  NLMSGHDR_SIZE: "sizeof(struct nlmsghdr)",
  NLATTR_SIZE: "sizeof(struct nlattr)",
  SOCKADDR_NL_SIZE: "sizeof(struct sockaddr_nl)",
  // The type is 16 bits wide.
  NLA_TYPE_MASK: "NLA_TYPE_MASK & 0xffff",
  IFINFOMSG_SIZE: "sizeof(struct ifinfomsg)",
  IFADDRMSG_SIZE: "sizeof(struct ifaddrmsg)",
  RTMSG_SIZE: "sizeof(struct rtmsg)",
  POLLFD_SIZE: "sizeof(struct pollfd)",
  SIGNALFD_SIGINFO_SIZE: "sizeof(struct signalfd_siginfo)",
  SIGINFO_SIZE: "sizeof(siginfo_t)",
  SI_CODE_OFFSET: "offsetof(siginfo_t, si_code)",
  SI_PID_OFFSET: "offsetof(siginfo_t, si_pid)",
  SI_STATUS_OFFSET: "offsetof(siginfo_t, si_status)",
  PATH_BENEATH_ATTR_SIZE: "sizeof(struct landlock_path_beneath_attr)",
  NET_PORT_ATTR_SIZE: "sizeof(struct landlock_net_port_attr)",
  "RULESET_ATTR_SIZE.fs": "offsetof(struct landlock_ruleset_attr, handled_access_fs) + 8",
  "RULESET_ATTR_SIZE.net": "offsetof(struct landlock_ruleset_attr, handled_access_net) + 8",
  "RULESET_ATTR_SIZE.scoped": "offsetof(struct landlock_ruleset_attr, scoped) + 8",
  "SYSCALL_INFO.op": "offsetof(struct ptrace_syscall_info, op)",
  "SYSCALL_INFO.nr": "offsetof(struct ptrace_syscall_info, entry.nr)",
  "SYSCALL_INFO.args": "offsetof(struct ptrace_syscall_info, entry.args)",
  "SYSCALL_INFO.result": "offsetof(struct ptrace_syscall_info, exit.rval)",
  "SYSCALL_INFO.size": "sizeof(struct ptrace_syscall_info)",
  "REGISTERS.ax": "offsetof(struct user_regs_struct, rax)",
  "REGISTERS.originalAx": "offsetof(struct user_regs_struct, orig_rax)",
  ...offsets("CALL_REGISTERS", "struct user_regs_struct", { arg0: "rdi", arg1: "rsi", arg2: "rdx", arg3: "r10", arg4: "r8", arg5: "r9", ip: "rip", sp: "rsp", size: "" }),
  SECCOMP_METADATA_SIZE: "sizeof(struct seccomp_metadata)",
  SOCK_FILTER_SIZE: "sizeof(struct sock_filter)",
  "NFT_MSG.newTable": "NFT_MSG_NEWTABLE",
  "NFT_MSG.deleteTable": "NFT_MSG_DELTABLE",
  "NFT_MSG.newChain": "NFT_MSG_NEWCHAIN",
  "NFT_MSG.newRule": "NFT_MSG_NEWRULE",
  "NFT_MSG.newSet": "NFT_MSG_NEWSET",
  "NFT_MSG.newElement": "NFT_MSG_NEWSETELEM",
  "NFT_MSG.deleteElement": "NFT_MSG_DELSETELEM",
  "NFTA_CHAIN.table": "NFTA_CHAIN_TABLE",
  "NFTA_CHAIN.name": "NFTA_CHAIN_NAME",
  "NFTA_CHAIN.hook": "NFTA_CHAIN_HOOK",
  "NFTA_CHAIN.policy": "NFTA_CHAIN_POLICY",
  "NFTA_CHAIN.type": "NFTA_CHAIN_TYPE",
  "NFTA_HOOK.hooknum": "NFTA_HOOK_HOOKNUM",
  "NFTA_HOOK.priority": "NFTA_HOOK_PRIORITY",
  "NFTA_RULE.table": "NFTA_RULE_TABLE",
  "NFTA_RULE.chain": "NFTA_RULE_CHAIN",
  "NFTA_RULE.expressions": "NFTA_RULE_EXPRESSIONS",
  "NFTA_SET.table": "NFTA_SET_TABLE",
  "NFTA_SET.name": "NFTA_SET_NAME",
  "NFTA_SET.flags": "NFTA_SET_FLAGS",
  "NFTA_SET.keyType": "NFTA_SET_KEY_TYPE",
  "NFTA_SET.keyLength": "NFTA_SET_KEY_LEN",
  "NFTA_SET.id": "NFTA_SET_ID",
  "NFTA_ELEMENTS.table": "NFTA_SET_ELEM_LIST_TABLE",
  "NFTA_ELEMENTS.set": "NFTA_SET_ELEM_LIST_SET",
  "NFTA_ELEMENTS.elements": "NFTA_SET_ELEM_LIST_ELEMENTS",
  "NFTA_ELEMENT.key": "NFTA_SET_ELEM_KEY",
  "NFTA_ELEMENT.timeout": "NFTA_SET_ELEM_TIMEOUT",
  "NFTA_EXPR.name": "NFTA_EXPR_NAME",
  "NFTA_EXPR.data": "NFTA_EXPR_DATA",
  "NFTA_DATA.value": "NFTA_DATA_VALUE",
  "NFTA_DATA.verdict": "NFTA_DATA_VERDICT",
  "NFT_META.mark": "NFT_META_MARK",
  "NFT_META.oif": "NFT_META_OIF",
  "NFT_META.nfproto": "NFT_META_NFPROTO",
  "NFT_META.l4proto": "NFT_META_L4PROTO",
  "NFT_CMP.eq": "NFT_CMP_EQ",
  "NFT_CMP.neq": "NFT_CMP_NEQ",
  "NFT_CMP.lte": "NFT_CMP_LTE",
  "NFT_CMP.gte": "NFT_CMP_GTE",
  "NFT_PAYLOAD.network": "NFT_PAYLOAD_NETWORK_HEADER",
  "NFT_PAYLOAD.transport": "NFT_PAYLOAD_TRANSPORT_HEADER",
  "NFULA_CFG.command": "NFULA_CFG_CMD",
  "NFULA_CFG.mode": "NFULA_CFG_MODE",
  "NFULA_CFG.threshold": "NFULA_CFG_QTHRESH",
  "SHUT.read": "SHUT_RD",
  "SHUT.write": "SHUT_WR",
  "SHUT.both": "SHUT_RDWR",
  ADDRESS_SIZE: "sizeof(struct sockaddr_storage)",
  ...offsets("MSGHDR", "struct msghdr", { name: "msg_name", nameSize: "msg_namelen", vectors: "msg_iov", vectorCount: "msg_iovlen", control: "msg_control", controlSize: "msg_controllen", flags: "msg_flags", size: "" }),
  ...offsets("CMSG", "struct cmsghdr", { length: "cmsg_len", level: "cmsg_level", type: "cmsg_type" }),
  "CMSG.data": "CMSG_LEN(0)",
  ...offsets("UCRED", "struct ucred", { pid: "pid", uid: "uid", gid: "gid", size: "" }),
  ...Object.fromEntries(Object.keys(INTERFACE_COMMANDS).map((name) => [`INTERFACE_COMMANDS.${name}`, name])),
  CT_ESTABLISHED_OR_RELATED: "NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED)",
  NFT_REJECT_ICMPX: "NFT_REJECT_ICMPX_UNREACH",
};

/** The first kernel whose headers have it. Debian 12 compiles with those of 6.1; there these are left out, and only there. */
const SINCE: Record<string, readonly [major: number, minor: number]> = {
  LANDLOCK_ACCESS_FS_TRUNCATE: [6, 2],
  LANDLOCK_ACCESS_FS_IOCTL_DEV: [6, 10],
  LANDLOCK_RULE_NET_PORT: [6, 7],
  LANDLOCK_ACCESS_NET_BIND_TCP: [6, 7],
  LANDLOCK_ACCESS_NET_CONNECT_TCP: [6, 7],
  NET_PORT_ATTR_SIZE: [6, 7],
  "RULESET_ATTR_SIZE.net": [6, 7],
  LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET: [6, 12],
  LANDLOCK_SCOPE_SIGNAL: [6, 12],
  "RULESET_ATTR_SIZE.scoped": [6, 12],
  __NR_fchmodat2: [6, 6],
  MFD_NOEXEC_SEAL: [6, 3],
  MFD_EXEC: [6, 3],
  MPOL_WEIGHTED_INTERLEAVE: [6, 9],
};

/** Structs filled by C, as hexadecimal bytes; `codecs` below says what they have to mean. */
const STRUCTS: Record<string, string> = {
  open_how: "struct open_how v = { .flags = 0x2080000, .mode = 0x1a4, .resolve = 0x18 };",
  ifinfomsg: "struct ifinfomsg v = { .ifi_index = 7, .ifi_flags = 0x10043, .ifi_change = 0xffffffff };",
  ifaddrmsg: "struct ifaddrmsg v = { .ifa_family = 10, .ifa_prefixlen = 64, .ifa_flags = 0x82, .ifa_scope = 253, .ifa_index = 300 };",
  rtmsg: "struct rtmsg v = { .rtm_family = 2, .rtm_dst_len = 24, .rtm_table = 254, .rtm_protocol = 4, .rtm_scope = 253, .rtm_type = 1 };",
  signalfd_siginfo:
    "struct signalfd_siginfo v = { .ssi_signo = 17, .ssi_errno = 99, .ssi_code = -6, .ssi_pid = 4000000, .ssi_uid = 65534, .ssi_status = -3 };",
  statx: `struct statx v = { .stx_nlink = 3, .stx_uid = 1000, .stx_gid = 1001, .stx_mode = 020620, .stx_ino = 0x1122334455667788ull,
    .stx_size = 0x123456789aull, .stx_rdev_major = 136, .stx_rdev_minor = 5, .stx_dev_major = 8, .stx_dev_minor = 70000, .stx_mnt_id = 0x99887766ull };`,
};

const ifInfo = { index: 7, flags: 0x10043, change: 0xffffffff };
const ifAddr = { family: 10, prefixLength: 64, flags: 0x82, scope: 253, index: 300 };
const rtMsg = { family: 2, prefixLength: 24, table: 254, protocol: 4, scope: 253, type: 1 };

/** Exported function -> struct, and the check that it agrees with C about it. */
const codecs: Record<string, readonly [struct: string, agrees: (bytes: Uint8Array) => void]> = {
  encodeOpenHow: ["open_how", (bytes) => expect(encodeOpenHow({ flags: 0x2080000, mode: 0o644, resolve: 0x18 })).toEqual(bytes)],
  encodeIfInfo: ["ifinfomsg", (bytes) => expect(rt.encodeIfInfo(ifInfo)).toEqual(bytes)],
  decodeIfInfo: ["ifinfomsg", (bytes) => expect(rt.decodeIfInfo(view(bytes))).toEqual(ifInfo)],
  encodeIfAddr: ["ifaddrmsg", (bytes) => expect(rt.encodeIfAddr(ifAddr)).toEqual(bytes)],
  decodeIfAddr: ["ifaddrmsg", (bytes) => expect(rt.decodeIfAddr(view(bytes))).toEqual(ifAddr)],
  encodeRtMsg: ["rtmsg", (bytes) => expect(rt.encodeRtMsg(rtMsg)).toEqual(bytes)],
  decodeRtMsg: ["rtmsg", (bytes) => expect(rt.decodeRtMsg(view(bytes))).toEqual(rtMsg)],
  decodeSignalInfo: ["signalfd_siginfo", (bytes) =>
    expect(decodeSignalInfo(view(bytes))).toEqual({ signal: 17, code: -6, pid: 4_000_000, uid: 65534, status: -3 })],
  decodeStatx: ["statx", (bytes) =>
    expect(decodeStatx(view(bytes))).toEqual({
      mode: 0o20620, uid: 1000, gid: 1001, nlink: 3, ino: 0x1122334455667788n, size: 0x123456789a,
      rdev: { major: 136, minor: 5 }, dev: { major: 8, minor: 70000 }, mountId: 0x99887766n,
    })],
};

/** Exports that are no ABI of their own; they have unit tests. */
const DERIVED = ["capabilityMask", "parseSignal"];

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Every exported number by name; functions are told apart. */
async function exportsOfAbi(): Promise<{ numbers: Map<string, number>; functions: string[]; others: string[] }> {
  const numbers = new Map<string, number>();
  const functions: string[] = [];
  const others: string[] = [];
  const files = readdirSync(join(projectRoot, "linux", "abi")).filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"));
  for (const file of files) {
    const module = (await import(join(projectRoot, "linux", "abi", file))) as Record<string, unknown>;
    for (const [name, value] of Object.entries(module)) {
      if (typeof value === "number") numbers.set(name, value);
      else if (typeof value === "function") functions.push(name);
      else if (name === "SIGNALS") for (const [signal, number] of Object.entries(SIGNALS)) numbers.set(signal, number);
      else if (name === "CAPABILITIES") for (const [number, capability] of CAPABILITIES.entries()) numbers.set(capability, number);
      else if (isTable(value)) for (const [key, number] of Object.entries(value)) numbers.set(`${name}.${key}`, number);
      else others.push(name);
    }
  }
  return { numbers, functions, others };
}

function isTable(value: unknown): value is Record<string, number> {
  return typeof value === "object" && value !== null && Object.values(value).every((entry) => typeof entry === "number");
}

function probe(constants: ReadonlyMap<string, string>): { values: Map<string, bigint>; structs: Map<string, Uint8Array> } {
  const source = join(workDir, "abi-probe.c");
  const lines = [...constants].map(([name, expression]) => `  printf("%s %lld\\n", "${name}", (long long)(${expression}));`);
  const fills = Object.entries(STRUCTS).map(([name, fill]) => `  { ${fill} dump("${name}", &v, sizeof v); }`);
  writeFileSync(source, `${HEADERS.map((header) => `#include <${header}>`).join("\n")}
static void dump(const char *name, const void *data, size_t size) {
  printf("struct:%s ", name);
  for (size_t i = 0; i < size; i++) printf("%02x", ((const unsigned char *)data)[i]);
  puts("");
}
int main(void) {
${lines.join("\n")}
${fills.join("\n")}
  return 0;
}
`);
  const program = join(workDir, "abi-probe");
  execFileSync("gcc", ["-D_GNU_SOURCE", "-Wno-missing-field-initializers", "-o", program, source], { stdio: ["ignore", "inherit", "inherit"] });
  const output = execFileSync(program, { encoding: "utf8" }).trim().split("\n").map((line) => line.split(" ") as [string, string]);
  const structs = output.filter(([name]) => name.startsWith("struct:")).map(([name, hex]) => [name.slice(7), new Uint8Array(Buffer.from(hex, "hex"))] as const);
  return { values: new Map(output.filter(([name]) => !name.startsWith("struct:")).map(([name, value]) => [name, BigInt(value)])), structs: new Map(structs) };
}

/** LINUX_VERSION_CODE of the headers, major and minor. */
function headerVersion(): readonly [number, number] {
  const code = Number(probe(new Map([["version", "LINUX_VERSION_CODE"]])).values.get("version"));
  return [code >> 16, (code >> 8) & 0xff];
}

const { numbers, functions, others } = await exportsOfAbi();
const [major, minor] = headerVersion();
const isKnown = (name: string) => {
  const [sinceMajor, sinceMinor] = SINCE[name] ?? [0, 0];
  return major > sinceMajor || (major === sinceMajor && minor >= sinceMinor);
};

const ours = new Map<string, number>([...numbers, ["auditArch", ARCH.auditArch], ...Object.entries(SYS).map(([name, number]) => [`__NR_${name}`, number] as const)]);
const expressions = new Map([...ours.keys()].filter(isKnown).map((name) => [name, name === "auditArch" ? "AUDIT_ARCH_X86_64" : (EXPRESSIONS[name] ?? name)]));
const { values, structs } = probe(expressions);

test("every constant is the kernel's", () => {
  const compared = [...expressions.keys()];
  expect(compared.length).toBeGreaterThan(300);
  const expected = Object.fromEntries(compared.map((name) => [name, values.get(name)]));
  expect(Object.fromEntries(compared.map((name) => [name, BigInt(ours.get(name) ?? -1)]))).toEqual(expected);
});

test("only what is newer than the headers is left out", () => {
  const left = [...ours.keys()].filter((name) => !expressions.has(name));
  expect(left.every((name) => SINCE[name] !== undefined && !isKnown(name))).toBe(true);
  expect(Object.keys(SINCE).filter((name) => !ours.has(name))).toEqual([]);
  expect(Object.keys(EXPRESSIONS).filter((name) => !ours.has(name))).toEqual([]);
});

test("capabilities are complete up to the last that the headers know", () => {
  const last = Number(probe(new Map([["last", "CAP_LAST_CAP"]])).values.get("last"));
  expect(CAPABILITIES.length).toBeGreaterThan(last);
});

test("every codec is compared with C", () => {
  expect(functions.filter((name) => codecs[name] === undefined && !DERIVED.includes(name))).toEqual([]);
  expect(others).toEqual([]);
});

test.each(Object.entries(codecs))("%s agrees with C", (_name, [struct, agrees]) => {
  const bytes = structs.get(struct);
  if (bytes === undefined) throw new Error(`no struct ${struct}`);
  agrees(bytes);
});
