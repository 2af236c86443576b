import { O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, O_RDWR } from "../../../../linux/abi/fcntl.ts";
import * as mnt from "../../../../linux/abi/mount.ts";
import { AT_FDCWD } from "../../../../linux/fd.ts";
import { listDirectory, makeDirectoryAt, open, openAt, readAll, statAt } from "../../../../linux/file.ts";
import {
  attachMount, changeRoot, cloneTree, createMount, mount, MNT_DETACH, pivotRoot, setMountAttributes, UMOUNT_NOFOLLOW, unmount,
} from "../../../../linux/mount.ts";
import { CLONE_NEW, setHostname, setNamespace, unshare } from "../../../../linux/namespace.ts";
import { changeDirectory, changeDirectoryTo } from "../../../../linux/process.ts";
import { defineCases, messageOf, refusal } from "../../../support/forked.ts";

const text = (path: string) => {
  using fd = open(path, O_RDONLY);
  return Buffer.from(readAll(fd, 1 << 24)).toString();
};

/** Mount options (own and of the file system) of the topmost mount at `path`. */
function options(path: string): string | null {
  const line = text("/proc/self/mountinfo").trim().split("\n").findLast((entry) => entry.split(" ")[4] === path);
  return line === undefined ? null : `${line.split(" ")[5]} ${line.split(" - ")[1]?.split(" ")[2]}`;
}

const create = (path: string) => refusal(() => open(path, O_RDWR | O_CREAT, { mode: 0o600 }));

/** A private mount namespace with a tmpfs at `dir`. */
function privateMounts(dir: string): void {
  unshare(CLONE_NEW.mnt, "mnt");
  mount("", "/", "", mnt.MS_REC | mnt.MS_PRIVATE);
  mount("tmpfs", dir, "tmpfs", mnt.MS_NODEV, "size=1m");
  for (const name of ["a", "b", "a/sub"]) makeDirectoryAt(AT_FDCWD, `${dir}/${name}`, 0o755);
}

defineCases({
  "by path": (dir = "") => {
    privateMounts(dir);
    mount(`${dir}/a`, `${dir}/b`, "", mnt.MS_BIND);
    mount("", `${dir}/b`, "", mnt.MS_BIND | mnt.MS_REMOUNT | mnt.MS_RDONLY | mnt.MS_NOSUID);
    const bound = { options: options(`${dir}/b`), write: create(`${dir}/b/file`), original: create(`${dir}/a/file`) };
    unmount(`${dir}/b`, UMOUNT_NOFOLLOW);
    return { top: options(dir), bound, after: options(`${dir}/b`), again: refusal(() => unmount(`${dir}/b`, MNT_DETACH)) };
  },
  "by descriptor": (dir = "") => {
    privateMounts(dir);
    using tmpfs = createMount("tmpfs", [["size", "64k"], ["mode", "0711"]], mnt.MOUNT_ATTR_NOEXEC);
    using target = open(`${dir}/a/sub`, O_PATH | O_DIRECTORY);
    attachMount(tmpfs, target);
    makeDirectoryAt(AT_FDCWD, `${dir}/a/sub/inner`, 0o755);
    const shallow = cloneTree(AT_FDCWD, `${dir}/a`, false);
    const deep = cloneTree(AT_FDCWD, `${dir}/a`, true);
    const inner = (tree: typeof deep) => {
      using sub = openAt(tree, "sub", O_RDONLY | O_DIRECTORY);
      return listDirectory(sub);
    };
    setMountAttributes(deep, { set: mnt.MOUNT_ATTR_RDONLY }, true);
    using onto = open(`${dir}/b`, O_PATH | O_DIRECTORY);
    const lists = { shallow: inner(shallow), deep: inner(deep) };
    attachMount(deep, onto);
    return {
      lists,
      sub: options(`${dir}/a/sub`),
      mode: statAt(open(`${dir}/a/sub`, O_PATH)).mode & 0o777,
      copy: [options(`${dir}/b`), options(`${dir}/b/sub`)],
      write: [create(`${dir}/b/x`), create(`${dir}/b/sub/x`), create(`${dir}/a/x`)],
    };
  },
  "attributes": (dir = "") => {
    privateMounts(dir);
    using fd = open(dir, O_PATH | O_DIRECTORY);
    setMountAttributes(fd, { set: mnt.MOUNT_ATTR_NOSUID | mnt.MOUNT_ATTR_NOATIME, clear: mnt.MOUNT_ATTR_NODEV | mnt.MOUNT_ATTR__ATIME }, false);
    const first = options(dir);
    setMountAttributes(fd, { propagation: mnt.MS_SHARED }, false);
    const shared = text("/proc/self/mountinfo").split("\n").some((line) => line.split(" ")[4] === dir && line.includes("shared:"));
    return { first, shared };
  },
  "refusals": (dir = "") => {
    privateMounts(dir);
    return {
      type: messageOf(() => createMount("nofs", [], 0)),
      parameter: messageOf(() => createMount("tmpfs", [["nonsense", "1"]], 0)),
      flag: messageOf(() => createMount("tmpfs", [["nonsense"]], 0)),
      target: messageOf(() => mount("", "/nowhere", "", mnt.MS_BIND)),
      link: refusal(() => unmount("/proc/self/cwd", UMOUNT_NOFOLLOW)),
      attribute: refusal(() => setMountAttributes(open(dir, O_PATH), { set: 1 << 30 }, false)),
    };
  },
  "pivot": (dir = "") => {
    privateMounts(dir);
    changeDirectory(dir);
    pivotRoot(".", ".");
    unmount(".", MNT_DETACH);
    using root = open("/", O_RDONLY | O_DIRECTORY);
    return { names: listDirectory(root).sort(), host: refusal(() => open("/proc", O_RDONLY)) };
  },
  "chroot": (dir = "") => {
    privateMounts(dir);
    makeDirectoryAt(AT_FDCWD, `${dir}/a/only`, 0o755);
    using inside = open(`${dir}/a`, O_PATH | O_DIRECTORY);
    changeRoot(`${dir}/a`);
    changeDirectoryTo(inside);
    using root = open("/", O_RDONLY | O_DIRECTORY);
    return listDirectory(root).sort();
  },
  "join": () => {
    using own = open("/proc/self/ns/uts", O_RDONLY);
    const before = text("/proc/sys/kernel/hostname").trim();
    unshare(CLONE_NEW.uts, "uts");
    setHostname("inside");
    const inside = text("/proc/sys/kernel/hostname").trim();
    const wrongKind = refusal(() => setNamespace(own, CLONE_NEW.net, "ns"));
    setNamespace(own, CLONE_NEW.uts, "ns");
    return { inside, wrongKind, back: text("/proc/sys/kernel/hostname").trim() === before };
  },
});
