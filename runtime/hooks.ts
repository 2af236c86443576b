/** Hooks: programs of the host's administrator at points of a container's life. Source: runtime-spec config.md#posix-platform-hooks. */
import { messageOf } from "../linux/errors.ts";
import type { Hook } from "./spec/config.ts";
import { run } from "./spawn.ts";

/** A hook that failed, in one line. */
export class HookError extends Error {
  override readonly name = "HookError";
}

/**
 * Runs hooks in their order, each with the state on its standard input; the first that fails ends it. A hook without `env` has
 * an empty environment: the runtime's own is the caller's business.
 * @param prepare runs in each hook's process before its execve.
 * @throws HookError
 */
export function runHooks(hooks: readonly Hook[] | undefined, state: string, prepare?: () => void): void {
  for (const hook of hooks ?? []) runHook(hook, state, prepare);
}

/** The same for hooks whose failure only earns a warning: the others still run. */
export function runHooksWarning(hooks: readonly Hook[] | undefined, state: string, warn: (message: string) => void): void {
  for (const hook of hooks ?? []) {
    try {
      runHook(hook, state);
    } catch (error) {
      warn(messageOf(error));
    }
  }
}

function runHook(hook: Hook, state: string, prepare?: () => void): void {
  const result = run({
    path: hook.path,
    args: hook.args === undefined || hook.args.length === 0 ? [hook.path] : hook.args,
    env: hook.env ?? [],
    input: state,
    timeoutMs: hook.timeout === undefined ? Infinity : hook.timeout * 1000,
    prepare,
  });
  if (result.kind === "timed-out") throw new HookError(`hook ${hook.path}: timed out after ${hook.timeout} s`);
  if (result.status.kind === "exited" && result.status.code === 0) return;
  const how = result.status.kind === "exited" ? `exit status ${result.status.code}` : `signal ${result.status.signal}`;
  throw new HookError(`hook ${hook.path}: ${how}${result.output === "" ? "" : `: ${result.output.replaceAll("\n", " | ")}`}`);
}
