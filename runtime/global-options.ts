/** The options before the command's name, as data: two readers of the command line go by them (quick-command.ts, full-cli.ts). */
import { CONFIG_FILE } from "./config/config.ts";
import { PLATFORMS, POLICY_NAMES, type PlatformName, type PolicyName } from "../policies/syscalls/names.ts";
import { MODES, type Mode } from "./sandbox/mode.ts";

export interface GlobalOption {
  /** As commander takes them. */
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
  readonly initial?: string;
  /** The environment variable that stands in for it. */
  readonly env?: string;
}

export interface GlobalFlags {
  readonly root?: string;
  readonly config?: string;
  readonly log?: string;
  readonly logFormat: "text" | "json";
  readonly debug?: boolean;
  readonly mode?: Mode;
  readonly policy?: PolicyName;
  readonly platform?: PlatformName;
  readonly strace?: boolean;
  readonly systemdCgroup?: boolean;
  readonly rootless?: string;
}

export const GLOBAL_OPTIONS: readonly GlobalOption[] = [
  { flags: "--root <dir>", description: "directory for the containers' state (default: /run/tssandbox, or below $XDG_RUNTIME_DIR)" },
  { flags: "--config <file>", description: `the host's configuration (default: ${CONFIG_FILE}, where there is one)` },
  { flags: "--log <file>", description: "write the log to this file as well" },
  { flags: "--log-format <format>", description: "format of the log", choices: ["text", "json"], initial: "text" },
  { flags: "--debug", description: "log more" },
  { flags: "--mode <mode>", description: "who plays the kernel for a new container (default: sentry)", choices: MODES, env: "TSSANDBOX_MODE" },
  { flags: "--policy <policy>", description: "how much of the host's kernel a new sandbox's programs reach (default: balanced)", choices: POLICY_NAMES, env: "TSSANDBOX_POLICY" },
  { flags: "--platform <platform>", description: "how a sandbox's system calls reach its kernel (default: what the host has)", choices: PLATFORMS, env: "TSSANDBOX_PLATFORM" },
  { flags: "--strace", description: "print every system call of sandboxed programs, to the log or standard error; slow" },
  { flags: "--systemd-cgroup", description: "let systemd make the cgroups; cgroupsPath is slice:prefix:name" },
  { flags: "--rootless <when>", description: "whether to ignore cgroup permission errors", choices: ["true", "false", "auto"], initial: "auto" },
  { flags: "--criu <path>", description: "accepted for compatibility; without effect" },
];
