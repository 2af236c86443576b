/** The filter of a sandbox: the default profile, and no way to leave a program behind that runs as somebody else. */
import type { LinuxSeccomp } from "../spec/config.ts";
import { compileFilter, useCompiled, type CompiledFilter } from "../container/seccomp.ts";
import { defaultProfile } from "../../policies/profiles/namespace-default.ts";

/** S_ISUID | S_ISGID. Source: inode(7). */
const SET_ID_BITS = 0o6000;
/** O_CREAT | __O_TMPFILE: only with one of these has open(2) a mode. Source: Linux include/uapi/asm-generic/fcntl.h. */
const CREATES = 0o20000100;

/** System calls by the index of their mode argument. */
const MODE_ARGUMENT: Readonly<Record<string, number>> = { chmod: 1, fchmod: 1, fchmodat: 2, fchmodat2: 2, creat: 1, mknod: 1, mknodat: 2, open: 2, openat: 3 };
/** The open calls by the index of their flags. */
const FLAGS_ARGUMENT: Readonly<Record<string, number>> = { open: 1, openat: 2 };

const ENOSYS = 38;

const without = (index: number, bits: number) => ({ index, op: "SCMP_CMP_MASKED_EQ", value: bits, valueTwo: 0 }) as const;

/**
 * A set-user-ID file in a lent directory would belong to the directory's owner, and so make its caller him: the bits are refused wherever a
 * mode is given. openat2(2) has its mode in memory, where no filter sees it; with ENOSYS libraries fall back to openat(2).
 */
export function sandboxFilter(): LinuxSeccomp {
  const filter = composeFilter();
  if (typeof TSSANDBOX_DO_FILTER === "string") useCompiled(filter, decodeFilter(TSSANDBOX_DO_FILTER));
  return filter;
}

/** Set by the build: `encodeFilter` of this filter. */
declare const TSSANDBOX_DO_FILTER: string | undefined;

export function encodeFilter(): string {
  const { program, flags } = compileFilter(composeFilter());
  return `${flags}:${Buffer.from(program).toString("base64")}`;
}

function decodeFilter(text: string): CompiledFilter {
  const [flags, program] = text.split(":");
  return { flags: Number(flags), program: Buffer.from(program ?? "", "base64") };
}

function composeFilter(): LinuxSeccomp {
  const profile = defaultProfile([]) as LinuxSeccomp;
  const special = new Set([...Object.keys(MODE_ARGUMENT), "openat2"]);
  const others = (profile.syscalls ?? []).map((call) => ({ ...call, names: call.names.filter((name) => !special.has(name)) }));
  const modes = Object.entries(MODE_ARGUMENT).map(([name, index]) => allow(name, [without(index, SET_ID_BITS)]));
  const opens = Object.entries(FLAGS_ARGUMENT).map(([name, index]) => allow(name, [without(index, CREATES)]));
  return { ...profile, syscalls: [...others, ...modes, ...opens, { names: ["openat2"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS }] };
}

const allow = (name: string, args: ReturnType<typeof without>[]) => ({ names: [name], action: "SCMP_ACT_ALLOW" as const, args });
