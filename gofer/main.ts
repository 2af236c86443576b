/** The forked gofer from its first instruction to its last. */
import process from "node:process";
import { messageOf, SysError } from "../linux/errors.ts";
import type { UserIds } from "../linux/credentials.ts";
import type { FdLike } from "../linux/fd.ts";
import { writeAll } from "../linux/file.ts";
import type { NodeResources } from "../linux/inherited.unsafe.ts";
import { getResourceLimit } from "../linux/process.ts";
import type { Export } from "./export.ts";
import { HostFileSystem } from "./hostfs/file-system.ts";
import type { Limits } from "./hostfs/node-table.ts";
import { enterJail } from "./jail.ts";
import { serveGofer, type Meter, type ServeOptions, type Served } from "./serve.ts";

export interface GoferOptions {
  /** The gofer ends when the other end of this pipe or socket is closed. Left out: it ends with its last connection alone. */
  readonly lifeline?: FdLike;
  /** Becomes standard error, which gets a line where the gofer cannot go on; nothing where left out. */
  readonly log?: FdLike;
  readonly resources?: NodeResources;
  /** See `JailOptions`. */
  readonly identity?: UserIds;
  /** Besides the exports: made-up file systems. */
  readonly more?: readonly Served[];
  /** What those read from. */
  readonly keep?: readonly FdLike[];
  /** For each export; from the process's own where left out. */
  readonly limits?: Limits;
  /** For each export, then for each of `more`. */
  readonly meters?: readonly Meter[];
  readonly woken?: ServeOptions["woken"];
  /** Is told why the gofer cannot go on, in the place of standard error. */
  readonly report?: (message: string) => void;
}

const RLIMIT_NOFILE = 7;
const MAX_DESCRIPTORS = 16_384;
/** Kept for directories being opened, standard streams, connections. */
const RESERVE = 256;
const MEMORY = 1 << 30;

/** Shares the descriptors that the process may have among the exports: three quarters to nodes, the rest to contents. */
function limitsFor(exports: number, descriptors: number): Limits {
  const each = Math.floor((descriptors - RESERVE) / Math.max(exports, 1));
  const nodeFds = Math.max(Math.floor((each * 3) / 4), 16);
  return { nodeFds, dataFds: Math.max(Math.floor(each / 8), 16), nodes: 1 << 20 };
}

/**
 * Confines the process and serves until the connections end or the lifeline hangs up. The body of a forked child (linux/fork.unsafe.ts):
 * `fork(() => runGofer(exports, { lifeline }))`.
 * @returns the exit code: 0, or 1 with a line on standard error.
 */
export function runGofer(exports: readonly Export[], options: GoferOptions): number {
  try {
    const available = Number(getResourceLimit(RLIMIT_NOFILE).hard);
    const descriptors = Math.min(available, MAX_DESCRIPTORS);
    const connections = [...exports, ...(options.more ?? [])].map(({ fuse }) => fuse);
    const roots = enterJail({
      roots: exports.map(({ root, readOnly }) => ({ fd: root, readOnly })),
      keep: [...(options.lifeline === undefined ? [] : [options.lifeline]), ...(options.keep ?? []), ...connections],
      descriptors,
      memory: MEMORY,
      ...(options.resources === undefined ? {} : { resources: options.resources }),
      ...(options.identity === undefined ? {} : { identity: options.identity }),
      ...(options.log === undefined ? {} : { log: options.log }),
    });
    const limits = options.limits ?? limitsFor(exports.length, descriptors);
    const served = exports.map(({ fuse, link, ...loan }, i): Served => {
      const root = roots[i];
      if (root === undefined) throw new Error("a root is missing");
      return { fuse, link, fileSystem: new HostFileSystem({ ...loan, root }, limits) };
    });
    const metered = [...served, ...(options.more ?? [])].map((one, i): Served => ({ ...one, meter: options.meters?.[i] }));
    serveGofer(metered, { woken: options.woken, ...(options.lifeline === undefined ? {} : { lifeline: options.lifeline }) });
    return 0;
  } catch (error) {
    const text = error instanceof SysError ? error.message : `${messageOf(error)}${process.env["TSSANDBOX_DEBUG"] === undefined ? "" : `\n${(error as Error).stack}`}`;
    if (options.report === undefined) writeAll(2, `gofer: ${text}\n`);
    else options.report(text);
    return 1;
  }
}
