/** What containerd's configuration says about a runtime, as it comes with Create. */
import { readFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { join } from "node:path";
import * as v from "valibot";
import { MODES, type Mode } from "../runtime/sandbox/mode.ts";
import { OptionsSchema as RuncOptionsSchema, type Options } from "./proto/generated/runc_pb.js";
import { OptionsSchema } from "./proto/generated/runtimeoptions_pb.js";
import { CODE, RpcError } from "./ttrpc/status.ts";

export interface RuntimeOptions {
  /** The least isolation: annotations may ask for more. */
  readonly mode: Mode;
  /** Directory of the containers' state: of those in one of containerd's namespaces. */
  readonly root: string;
  readonly systemdCgroup: boolean;
  readonly noPivot: boolean;
  readonly newKeyring: boolean;
}

/** The file that `ConfigPath` names: one for each handler. */
const ConfigFile = v.strictObject({
  mode: v.optional(v.picklist(MODES)),
  root: v.optional(v.pipe(v.string(), v.startsWith("/"))),
  systemdCgroup: v.optional(v.boolean()),
});

export const defaultOptions = (namespace: string): RuntimeOptions => ({
  mode: "sentry",
  root: join("/run/containerd/tssandbox", namespace),
  systemdCgroup: false,
  noPivot: false,
  newKeyring: true,
});

/** What `ctr run --uidmap` of containerd 1.6 sends in the place of all other options: nothing in it is for us. */
const OLD_RUNC_OPTIONS = "containerd.linux.runc.CreateOptions";

/** @throws RpcError for options that are not ours, or a file that cannot be read as such. */
export function readOptions(any: Any | undefined, namespace: string): RuntimeOptions {
  const type = any?.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1) ?? "";
  if (any === undefined || type === "") return defaultOptions(namespace);
  switch (type) {
    case OptionsSchema.typeName:
      return fromFile(fromBinary(OptionsSchema, any.value).configPath, namespace);
    case RuncOptionsSchema.typeName:
      return fromRunc(fromBinary(RuncOptionsSchema, any.value), namespace);
    case OLD_RUNC_OPTIONS:
      return defaultOptions(namespace);
    default:
      throw new RpcError(CODE.invalidArgument, `options of type ${type}: give ConfigPath, of a JSON file`);
  }
}

function fromFile(path: string, namespace: string): RuntimeOptions {
  const defaults = defaultOptions(namespace);
  if (path === "") return defaults;
  try {
    const { mode, root, systemdCgroup } = v.parse(ConfigFile, JSON.parse(readFileSync(path, "utf8")));
    return { ...defaults, mode: mode ?? defaults.mode, root: root === undefined ? defaults.root : join(root, namespace), systemdCgroup: systemdCgroup ?? defaults.systemdCgroup };
  } catch (error) {
    throw new RpcError(CODE.invalidArgument, `${path}: ${describe(error)}`, { cause: error });
  }
}

function describe(error: unknown): string {
  if (!v.isValiError(error)) return error instanceof Error ? error.message : String(error);
  return error.issues.map((issue) => `${v.getDotPath(issue) ?? "the file"}: ${issue.message}`).join("; ");
}

/** docker's way; what is about runc alone is left. */
function fromRunc({ root, systemdCgroup, noPivotRoot, noNewKeyring }: Options, namespace: string): RuntimeOptions {
  const defaults = defaultOptions(namespace);
  return { ...defaults, root: root === "" ? defaults.root : join(root, namespace), systemdCgroup, noPivot: noPivotRoot, newKeyring: !noNewKeyring };
}

/** In the bundle: what `delete` needs to know when the shim is gone. */
export const OPTIONS_FILE = "tssandbox-options.json";
