/** What containerd's configuration says about a runtime, as it comes with Create. */
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { join } from "node:path";
import { messageOf } from "../linux/errors.ts";
import { CONFIG_FILE, narrowed, readConfig } from "../runtime/config/config.ts";
import type { Config } from "../runtime/config/schema.ts";
import { strongest } from "../runtime/sandbox/mode.ts";
import { OptionsSchema as RuncOptionsSchema, type Options } from "./proto/generated/runc_pb.js";
import { OptionsSchema } from "./proto/generated/runtimeoptions_pb.js";
import type { StreamOwner } from "./streams/streams.ts";
import { CODE, RpcError } from "./ttrpc/status.ts";

export interface RuntimeOptions {
  /** The host's, and over it what the handler's file says. */
  readonly config: Config;
  /** Directory of the containers' state: of those in one of containerd's namespaces. */
  readonly root: string;
  readonly systemdCgroup: boolean;
  readonly noPivot: boolean;
  readonly newKeyring: boolean;
  /** To whom the pipes of standard streams belong: root of the pod's user namespace, if it has one, who may then open them. */
  readonly streamOwner: StreamOwner;
}

/** A pod is never given less than a sandbox because nobody asked: where that cannot be, it fails. */
const DEFAULTS: Config = { mode: "sentry" };
const DEFAULT_ROOT = "/run/containerd/tssandbox";

/** What holds where not even the host's configuration can be read. */
export const defaultOptions = (namespace: string): RuntimeOptions => optionsFrom(DEFAULTS, namespace);

const optionsFrom = (config: Config, namespace: string): RuntimeOptions => ({
  config,
  root: join(config.root ?? DEFAULT_ROOT, namespace),
  systemdCgroup: config.systemdCgroup ?? false,
  noPivot: false,
  newKeyring: true,
  streamOwner: { uid: 0, gid: 0 },
});

/** What `ctr run --uidmap` of containerd 1.6 sends in the place of all other options: nothing in it is for us. */
const OLD_RUNC_OPTIONS = "containerd.linux.runc.CreateOptions";

/** @throws RpcError for options that are not ours, or a file that cannot be read as such. */
export function readOptions(any: Any | undefined, namespace: string): RuntimeOptions {
  const type = any?.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1) ?? "";
  if (any === undefined || type === "") return optionsFrom(hostConfig(), namespace);
  switch (type) {
    case OptionsSchema.typeName:
      return optionsFrom(withHandler(fromBinary(OptionsSchema, any.value).configPath), namespace);
    case RuncOptionsSchema.typeName:
      return fromRunc(fromBinary(RuncOptionsSchema, any.value), namespace);
    case OLD_RUNC_OPTIONS:
      return optionsFrom(hostConfig(), namespace);
    default:
      throw new RpcError(CODE.invalidArgument, `options of type ${type}: give ConfigPath, of a JSON file`);
  }
}

const hostConfig = (): Config => withMode(answering(() => readConfig(CONFIG_FILE, true)));

/** @param path of the handler's file, which `ConfigPath` names (or `BinaryName`, below); empty: it has none. */
function withHandler(path: string): Config {
  if (path === "") return hostConfig();
  return withMode(answering(() => narrowed(readConfig(CONFIG_FILE, true), readConfig(path, false), path)));
}

const withMode = (config: Config): Config => ({ ...config, mode: config.mode ?? strongest([DEFAULTS.mode, config.floor]) });

function answering<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new RpcError(CODE.invalidArgument, messageOf(error), { cause: error });
  }
}

/**
 * docker's way; what is about runc alone is left. A handler of containerd 2 whose pods may have user namespaces has no other options either: `BinaryName` names
 * the JSON file then. Source: containerd, client/task.go, getRuncOptions; internal/cri/server, introspectRuntimeFeatures.
 */
function fromRunc({ root, systemdCgroup, noPivotRoot, noNewKeyring, binaryName, ioUid, ioGid }: Options, namespace: string): RuntimeOptions {
  const defaults = optionsFrom(binaryName.endsWith(".json") ? withHandler(binaryName) : hostConfig(), namespace);
  return { ...defaults, root: root === "" ? defaults.root : join(root, namespace), systemdCgroup: systemdCgroup || defaults.systemdCgroup, noPivot: noPivotRoot, newKeyring: !noNewKeyring, streamOwner: { uid: ioUid, gid: ioGid } };
}

/** In the bundle: what `delete` needs to know when the shim is gone. */
export const OPTIONS_FILE = "tssandbox-options.json";
