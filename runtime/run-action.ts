/** What a command's action is run with, and what becomes of its failure. */
import process from "node:process";
import { effectiveUid } from "../linux/credentials.ts";
import { messageOf } from "../linux/errors.ts";
import { CONFIG_FILE, readConfig } from "./config/config.ts";
import { NO_CONFIG, type Config } from "./config/schema.ts";
import { inUserNamespace } from "./container/id-maps.ts";
import type { GlobalFlags } from "./global-options.ts";
import type { Globals } from "./globals.ts";
import { Logger } from "./log.ts";
import { tracesSent } from "./tracing/command.ts";

/** Exit code of runc for every failure. */
export const FAILURE = 1;

/** @returns the exit code; a failure has been told then. */
export async function runAction(args: readonly string[], flags: GlobalFlags, failureCode: number, run: (globals: Globals) => number | Promise<number>): Promise<number> {
  const globals = configured(flags);
  if (globals === undefined) return failureCode;
  globals.log.debug(`called with ${JSON.stringify(args)}`);
  try {
    const code = await run(globals);
    const lost = await tracesSent();
    if (lost !== undefined) globals.log.warn(lost);
    globals.log.flush();
    globals.log.debug(`ends with ${code}`);
    return code;
  } catch (error) {
    await tracesSent();
    globals.log.error(messageOf(error));
    return failureCode;
  }
}

/** @returns undefined where the configuration cannot be used, which has been told. */
function configured(flags: GlobalFlags): Globals | undefined {
  try {
    return decideGlobals(flags, readConfig(flags.config ?? CONFIG_FILE, flags.config === undefined));
  } catch (error) {
    decideGlobals(flags, NO_CONFIG).log.error(messageOf(error));
    return undefined;
  }
}

function decideGlobals(flags: GlobalFlags, config: Config): Globals {
  const rootless = flags.rootless === "true" || (flags.rootless !== "false" && isOrdinaryUser());
  return {
    root: flags.root ?? config.root ?? defaultRoot(),
    config,
    mode: flags.mode,
    policy: flags.policy,
    platform: flags.platform,
    strace: flags.strace === true,
    systemdCgroup: flags.systemdCgroup ?? config.systemdCgroup ?? false,
    rootless,
    log: new Logger({ file: flags.log, format: flags.logFormat, debug: flags.debug === true, node: config.log }),
  };
}

function defaultRoot(): string {
  const runtimeDirectory = process.env["XDG_RUNTIME_DIR"];
  return runtimeDirectory && isOrdinaryUser() ? `${runtimeDirectory}/tssandbox` : "/run/tssandbox";
}

/** Not root, or root only of a user namespace, as rootless podman starts a runtime; USER tells it from root in a container. As runc decides. */
function isOrdinaryUser(): boolean {
  return effectiveUid() !== 0 || (process.env["USER"] !== "root" && inUserNamespace());
}
