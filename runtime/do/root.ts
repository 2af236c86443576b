/** The root of one sandbox: the host's, or an image's, with what follows from the choice. */
import { userInfo } from "node:os";
import { isAbsolute, normalize } from "node:path";
import process from "node:process";
import * as fcntl from "../../linux/abi/fcntl.ts";
import type { UserIds } from "../../linux/credentials.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { SAME_IDS, type Ownership } from "../../gofer/hostfs/ownership.ts";
import { rangesOf } from "../sandbox/files.ts";
import type { Mode } from "../sandbox/mode.ts";
import { sizeForLimit } from "../sandbox/root-size.ts";
import { createUserNamespace } from "../container/bind-sources.ts";
import { homeSecrets, planHostRoot } from "./host-plan.ts";
import { buildHostRoot } from "./host-root.ts";
import { chooseIdentity, RANGE_SIZE, type Identity } from "./identity.ts";
import { buildImageRoot, openLower } from "./image-root.ts";
import { tryMapIds } from "./lend.ts";
import { readMountTable } from "./mount-table.ts";
import { defaultEnvironment, type DoOptions } from "./options.ts";
import { openRootfs, type OpenOptions, type Rootfs } from "./rootfs/open.ts";
import { resolveUser } from "./rootfs/user.ts";

export interface SandboxRoot {
  readonly identity: Identity;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly masked: readonly string[];
  /** Runs in init. @param lent see `Embedded.buildRoot`. */
  readonly build: (at: string, lent?: Fd) => Fd;
  /** The directory that is below the throw-away layer, for a gofer. */
  readonly lower: { readonly path: string; readonly ownership: Ownership };
}

export interface RootContext extends Omit<OpenOptions, "ownerOnDisk"> {
  readonly mode: Mode;
  /** Number of the id range. */
  readonly range: number;
}

const lentPaths = (options: DoOptions): string[] => options.loans.map(({ destination }) => destination);

export function hostRoot(options: DoOptions, { range, warn }: RootContext): SandboxRoot {
  const identity = chooseIdentity(options.user, range);
  const home = callerHome();
  const plan = planHostRoot({ mounts: readMountTable(), lent: lentPaths(options), home, foreign: identity.rangeStart !== undefined, warn });
  return {
    identity,
    args: options.args,
    env: [...defaultEnvironment(), `HOME=${home}`, ...options.env],
    cwd: options.cwd ?? options.here,
    masked: plan.masked,
    build: (at, lent) => buildHostRoot(plan, { user: identity.user, size: sizeForLimit(options.limits.memory) }, at, lent),
    lower: { path: "/", ownership: NOBODYS },
  };
}

/** Everything on the host is somebody else's: what everybody may read is all that can be read. */
const NOBODYS: Ownership = { kind: "kept", uids: [], gids: [] };

/** By the user database; a caller who is not in it has what $HOME says, or none. */
function callerHome(): string {
  try {
    return withoutSlash(userInfo().homedir);
  } catch {
    const home = process.env["HOME"];
    return home !== undefined && isAbsolute(home) ? withoutSlash(home) : "/";
  }
}

const withoutSlash = (path: string): string => normalize(path).replace(/(.)\/$/, "$1");

const ROOT: UserIds = { uid: 0, gid: 0 };

/** @throws what `openRootfs` does, and Error where there is nothing to run. */
export async function imageRoot(path: string, options: DoOptions, context: RootContext): Promise<SandboxRoot> {
  const start = chooseIdentity(ROOT, context.range).rangeStart;
  const shift = (id: number): number => (start ?? 0) + Math.min(id, RANGE_SIZE - 2);
  const rootfs = await openRootfs(path, { ...context, ownerOnDisk: ({ uid, gid }) => (start === undefined ? undefined : { uid: shift(uid), gid: shift(gid) }) });
  const identity = chooseIdentity(options.user ?? imageUser(rootfs), context.range);
  const { config } = rootfs;
  const args = [...(config?.entrypoint ?? []), ...(options.args.length > 0 ? options.args : (config?.command ?? []))];
  if (args.length === 0) throw new Error(`--rootfs ${path}: it names no command of its own; give one after --`);
  const lower = start === undefined || context.mode === "sentry" ? rootfs.path : openMapped(rootfs, identity, context);
  return {
    identity,
    args,
    env: [...defaultEnvironment(), ...(config?.env ?? []), ...options.env],
    cwd: options.cwd ?? config?.workingDirectory ?? options.here,
    masked: homeSecrets({ lent: lentPaths(options), home: callerHome(), foreign: start !== undefined }),
    build: (at, lent) => buildImageRoot(lent ?? lower, { user: start === undefined ? identity.user : ROOT, size: sizeForLimit(options.limits.memory) }, at, lent !== undefined),
    lower: { path: rootfs.path, ownership: rootfs.unpacked ? ownershipBy(identity) : SAME_IDS },
  };
}

function ownershipBy({ uidMappings, gidMappings }: Identity): Ownership {
  return { kind: "kept", uids: rangesOf(uidMappings), gids: rangesOf(gidMappings) };
}

function imageUser({ path, config }: Rootfs): UserIds {
  if (config?.user === undefined) return ROOT;
  using directory = open(path, fcntl.O_PATH | fcntl.O_DIRECTORY);
  return resolveUser(config.user, directory);
}

/** What was unpacked has the range's ids on disk; the user's own directory has its ids translated, where its file system can. */
function openMapped(rootfs: Rootfs, identity: Identity, { warn }: RootContext): Fd {
  const tree = openLower(rootfs.path);
  if (rootfs.unpacked) return tree;
  using namespace = createUserNamespace({ uid: identity.uidMappings, gid: identity.gidMappings });
  if (!tryMapIds(tree, namespace)) warn(`the file system of ${rootfs.path} cannot translate ids (idmapped mounts): only what everybody may read is readable in the sandbox`);
  return tree;
}
