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
  const { policy, flags, unknown } = importOci(config, { nativeArch: "x86_64" });
  for (const name of unknown) log.debug(`seccomp: no system call is called ${name}; left out`);
  const complete = withOurExec(policy);
  const program = compile(complete);
  const notifies = [policy.defaultAction, ...policy.rules.map(({ action }) => action)].includes("notify");
  return {
    program,
    flags: encodeFlags({ ...flags, newListener: notifies }),
    allows: (nr, args) => allows(complete, nr, args),
    listener: notifies ? openListener(config, stateOf) : undefined,
  };
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
