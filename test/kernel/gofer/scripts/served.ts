/** A gofer without a jail around it, for what needs no guest namespace: mounts a made-up tree, or ends in the middle of something. */
import { readdirSync, readFileSync, readlinkSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { directory, file, symlink, SyntheticFileSystem, type SyntheticNode } from "../../../../gofer/synthetic.ts";
import { HostFileSystem } from "../../../../gofer/hostfs/file-system.ts";
import { SAME_IDS } from "../../../../gofer/hostfs/ownership.ts";
import { serveGofer } from "../../../../gofer/serve.ts";
import type { FileSystem } from "../../../../gofer/fuse/file-system.ts";
import { O_PATH, O_RDWR } from "../../../../linux/abi/fcntl.ts";
import { MS_PRIVATE, MS_REC } from "../../../../linux/abi/mount.ts";
import { open, pipe } from "../../../../linux/file.ts";
import { fork } from "../../../../linux/fork.unsafe.ts";
import { MNT_DETACH, mount, unmount } from "../../../../linux/mount.ts";
import { CLONE_NEW, unshare } from "../../../../linux/namespace.ts";
import { kill, shellCode, waitPid } from "../../../../linux/process.ts";
import { defineCases } from "../../../support/forked.ts";

const SIGKILL = 9;

interface Running {
  readonly pid: number;
  /** Closing it is what a runtime's death does. */
  readonly cut: () => void;
}

/** Mounts at `at`, in a mount namespace of this process's own. */
function serve(at: string, fileSystem: () => FileSystem): Running {
  unshare(CLONE_NEW.mnt, "mnt");
  mount("none", "/", "", MS_REC | MS_PRIVATE);
  const fuse = open("/dev/fuse", O_RDWR);
  const [lifeline, other] = pipe();
  mount("gofer", at, "fuse", 0, `fd=${fuse.number},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions`);
  const pid = fork(() => {
    other.close();
    return serveGofer([{ fuse, fileSystem: fileSystem() }], { lifeline }) === "disconnected" ? 10 : 20;
  });
  fuse.close();
  lifeline.close();
  return { pid, cut: () => other.close() };
}

function endOf({ pid }: Running): number {
  const ended = waitPid(pid)?.status;
  return ended === undefined ? -1 : shellCode(ended);
}

const errno = (action: () => unknown): string => {
  try {
    return JSON.stringify(action());
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
};

function tree(): SyntheticNode & { kind: "directory" } {
  let reads = 0;
  const many = new Map<string, SyntheticNode>(Array.from({ length: 2000 }, (_, i) => [`entry-${i}`, file(() => String(i))]));
  return directory({
    hello: file(() => "world\n"),
    counter: file(() => String(++reads)),
    big: file(() => "x".repeat(300_000)),
    broken: file(() => { throw new Error("a bug"); }),
    private: { kind: "file", mode: 0o600, uid: 7, gid: 8, read: () => "secret" },
    link: symlink("sub/deep"),
    sub: directory({ deep: file(() => "deep") }),
    many: directory(() => many),
  });
}

defineCases({
  "synthetic": (at = "") => {
    const running = serve(at, () => new SyntheticFileSystem(tree(), { validMs: 0 }));
    const path = (name: string) => join(at, name);
    const { uid, gid, mode, size } = statSync(path("private"));
    const seen = {
      names: readdirSync(at).sort(),
      hello: readFileSync(path("hello"), "utf8"),
      computedAnew: readFileSync(path("counter"), "utf8") !== readFileSync(path("counter"), "utf8"),
      big: readFileSync(path("big")).length,
      broken: errno(() => readFileSync(path("broken"))),
      private: [uid, gid, mode.toString(8), size],
      link: [readlinkSync(path("link")), readFileSync(path("link"), "utf8")],
      many: new Set(readdirSync(path("many"))).size,
      last: readFileSync(path("many/entry-1999"), "utf8"),
      missing: errno(() => readFileSync(path("missing"))),
      written: errno(() => writeFileSync(path("hello"), "x")),
      created: errno(() => writeFileSync(path("new"), "x")),
      removed: errno(() => rmdirSync(path("sub"))),
    };
    unmount(at, 0);
    return { ...seen, end: endOf(running) };
  },
  "unmounted": (from = "", at = "") => {
    const running = serve(at, () => lend(from));
    readdirSync(at);
    unmount(at, 0);
    return endOf(running);
  },
  "lifeline": (from = "", at = "") => {
    const running = serve(at, () => lend(from));
    readdirSync(at);
    running.cut();
    const end = endOf(running);
    const after = errno(() => readdirSync(at));
    unmount(at, MNT_DETACH);
    return { end, after };
  },
  "killed": (from = "", at = "") => {
    const running = serve(at, () => lend(from));
    readdirSync(at);
    kill(running.pid, SIGKILL);
    const end = endOf(running);
    const after = errno(() => statSync(join(at, "other")));
    unmount(at, MNT_DETACH);
    return { end, after };
  },
});

function lend(from: string): FileSystem {
  return new HostFileSystem({ root: open(from, O_PATH), readOnly: false, cache: "shared", ownership: SAME_IDS });
}
