import { compile, decide, encodeFlags, importOci, type Policy, type Rule } from "seccomp-bpf-ts";
import { AT_EMPTY_PATH } from "../../linux/abi/fcntl.ts";
import { ARCH } from "../../linux/arch.ts";
import { connectUnix } from "../../linux/socket.ts";
import type { SeccompLaunch } from "../init/launch.ts";
import type { LinuxSeccomp } from "../spec/config.ts";
import { ConfigError } from "../spec/report.ts";
import type { Logger } from "../log.ts";

/**
 * Compiles the configured filter.
 * @param stateOf the container's state for the listener, told the process's pid.
 * @throws ConfigError where it cannot be a filter; SysError where the listener cannot be reached.
 */
export function prepareSeccomp(config: LinuxSeccomp | undefined, stateOf: (pid: number) => object, log: Logger): SeccompLaunch | undefined {
  if (config === undefined) return undefined;
  const known = compiledBefore.get(config);
  // What it allows is asked where there is a label, which its containers do not have.
  if (known !== undefined) return { ...known, early: false, allows: () => false, listener: undefined };
  const { program, flags, policy, unknown, notifies } = compileFilter(config);
  for (const name of unknown) log.debug(`seccomp: no system call is called ${name}; left out`);
  return { program, early: false, flags, allows: (nr, args) => allows(policy, nr, args), listener: notifies ? openListener(config, stateOf) : undefined };
}

export interface CompiledFilter {
  readonly program: Uint8Array;
  /** SECCOMP_FILTER_FLAG_*. */
  readonly flags: number;
}

const compiledBefore = new WeakMap<LinuxSeccomp, CompiledFilter>();

/** Compiling takes some 10 ms, and the compiler must be loaded for it: tells of a configuration that the build has compiled, and that has no listener. */
export function useCompiled(config: LinuxSeccomp, filter: CompiledFilter): void {
  compiledBefore.set(config, filter);
}

/** @throws ConfigError where it cannot be a filter. */
export function compileFilter(config: LinuxSeccomp) {
  const { policy, flags, unknown } = importOci(config, { nativeArch: "x86_64" });
  const complete = withOurExec(policy);
  const notifies = [policy.defaultAction, ...policy.rules.map(({ action }) => action)].includes("notify");
  return { program: compile(complete), flags: encodeFlags({ ...flags, newListener: notifies }), policy: complete, unknown, notifies };
}

/**
 * The program is executed through a stub in a memfd (linux/exec.unsafe.ts), which takes execveat with AT_EMPTY_PATH. A profile that allows
 * execve but not execveat gets exactly that form in addition; it reaches no file that execve of /proc/self/fd/N would not.
 */
function withOurExec(policy: Policy): Policy {
  if (allows(policy, ARCH.sys.execveat, [3, 0, 0, 0, AT_EMPTY_PATH])) return policy;
  const rule: Rule = { names: ["execveat"], action: "allow", args: [{ index: 4, op: "eq", value: AT_EMPTY_PATH }] };
  return { ...policy, rules: [rule, ...policy.rules] };
}

function allows(policy: Policy, nr: number, args: readonly number[]): boolean {
  const { action } = decide(policy, { arch: "x86_64", nr, args });
  return action === "allow" || action === "log";
}

/** Source: runtime-spec config-linux.md#containerprocessstate. */
function openListener(config: LinuxSeccomp, stateOf: (pid: number) => object) {
  if (!config.listenerPath) throw new ConfigError("config.json", "linux.seccomp.listenerPath", "SCMP_ACT_NOTIFY needs it");
  const metadata = config.listenerMetadata;
  const socket = connectUnix(config.listenerPath);
  const message = (pid: number) => JSON.stringify({ ociVersion: "1.3.0", fds: ["seccompFd"], pid, ...(metadata ? { metadata } : {}), state: stateOf(pid) });
  return { socket, message };
}
