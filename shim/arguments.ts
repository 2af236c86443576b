/** The command line of a shim. Source: containerd, runtime/v2/README.md, "Command Line"; flags are Go's, with one dash or two. */

export interface ShimArguments {
  readonly namespace: string;
  readonly id: string;
  /** containerd's own address, which the shim's derives from. */
  readonly address: string;
  /** For `delete`; else the working directory is the bundle. */
  readonly bundle: string;
  readonly debug: boolean;
  /** Ours: the handler's file, for a sandbox whose handler can have no options (docs/kubernetes.md). */
  readonly handler: string;
  /** `start`, `delete`, or a flag that stands for one: `version`, `info`. */
  readonly action: string;
}

const VALUES = ["namespace", "id", "address", "bundle", "publish-binary", "socket", "handler"] as const;
const SWITCHES: Readonly<Record<string, string>> = { v: "version", version: "version", info: "info" };

/** @throws Error with a line for the user. */
export function parseArguments(args: readonly string[]): ShimArguments {
  const values = new Map<string, string>();
  let [action, debug] = ["", false];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    const [, name, value] = /^--?([a-z-]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (name === undefined) action = arg;
    else if (name === "debug") debug = value !== "false";
    else if (SWITCHES[name] !== undefined) action = SWITCHES[name];
    else if (VALUES.some((known) => known === name)) values.set(name, value ?? args[++i] ?? "");
    else throw new Error(`unknown flag: ${arg}`);
  }
  const text = (name: (typeof VALUES)[number]) => values.get(name) ?? "";
  return { namespace: text("namespace"), id: text("id"), address: text("address"), bundle: text("bundle"), handler: text("handler"), debug, action };
}
