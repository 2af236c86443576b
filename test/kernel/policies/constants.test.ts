// The numbers in the table against the kernel's exported headers.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { deniedOptions, nativeOptions } from "../../../policies/syscalls/areas/prctl.ts";
import { tracing, withOptions } from "../../../policies/syscalls/areas/processes.ts";
import { levels, socketOptions } from "../../../policies/syscalls/areas/socket-options.ts";
import { deniedIoctls, nativeIoctls } from "../../../policies/syscalls/areas/terminals.ts";
import { Programs } from "./programs.ts";

const headers = ["sys/socket.h", "linux/in.h", "linux/in6.h", "linux/tcp.h", "linux/udp.h", "linux/netlink.h", "linux/sockios.h", "asm/ioctls.h", "asm/termbits.h", "linux/prctl.h", "linux/ptrace.h", "asm/ptrace-abi.h"];

/** Later than the headers of Debian 12 (Linux 6.1). */
const newer = ["IP_LOCAL_PORT_RANGE", "PR_GET_AUXV", "PR_GET_MDWE", "PR_SET_MDWE", "SO_PASSPIDFD", "SO_PEERPIDFD"];

const programs = new Programs();

afterAll(() => programs[Symbol.dispose]());

type Constants = Readonly<Record<string, number>>;

// A name that is an enumerator, not a macro, is not found by #ifdef.
const enumerators = new Set(["IPPROTO_IP", "IPPROTO_IPV6", "IPPROTO_TCP", "IPPROTO_UDP", "MCAST_JOIN_GROUP"]);

function print(name: string): string {
  const statement = `printf("${name} %lu\\n", (unsigned long)(unsigned)${name});`;
  return enumerators.has(name) ? statement : `#ifdef ${name}\n${statement}\n#endif`;
}

function headersSay(names: readonly string[]): Map<string, number> {
  const source = [...headers.map((header) => `#include <${header}>`), "#include <stdio.h>", "int main(void) {", ...names.map(print), "}"].join("\n");
  writeFileSync(programs.path("probe.c"), source);
  execFileSync("gcc", ["-o", programs.path("probe"), programs.path("probe.c")], { stdio: "inherit" });
  const lines = execFileSync(programs.path("probe"), { encoding: "utf8" }).trim().split("\n");
  return new Map(lines.map((line) => [line.split(" ")[0] ?? "", Number(line.split(" ")[1])]));
}

const lists: readonly Constants[] = [
  nativeOptions,
  deniedOptions,
  ...Object.values(nativeIoctls),
  deniedIoctls,
  levels,
  ...Object.values(socketOptions),
  withOptions,
  tracing,
];

test("constants are those of the kernel's headers", () => {
  const ours = lists.flatMap((list) => Object.entries(list));
  const theirs = headersSay([...new Set(ours.map(([name]) => name))]);
  for (const [name, value] of ours) if (theirs.has(name)) expect([name, value]).toEqual([name, theirs.get(name)]);
  const unknown = [...new Set(ours.map(([name]) => name))].filter((name) => !theirs.has(name)).sort();
  for (const name of unknown) expect(newer, name).toContain(name);
});
