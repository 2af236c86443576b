import { chmodSync, closeSync, mkdirSync, openSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY, O_WRONLY, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS,
  S_IFDIR, S_IFMT, S_IFREG,
} from "../../../linux/abi/fcntl.ts";
import {
  duplicateOnto, listDirectory, makeDevice, open, openAt, pipe, read, readAll, readLinkAt, statAt, tryOpenAt, writeAll,
} from "../../../linux/file.ts";
import { refusal } from "../../support/forked.ts";
import { uniqueId, workDir } from "../../support/paths.ts";

/**
 * A root with a secret beside it, and links that want to get there:
 *
 *   outside/secret      root/inside/file      root/up -> ../..   root/abs -> /outside/secret   root/etc/passwd   root/loop -> loop
 */
function makeTree(): { readonly base: string; readonly root: string } {
  const base = join(workDir, uniqueId());
  const root = join(base, "root");
  mkdirSync(join(base, "outside"), { recursive: true });
  mkdirSync(join(root, "inside"), { recursive: true });
  mkdirSync(join(root, "etc"));
  writeFileSync(join(base, "outside", "secret"), "secret");
  writeFileSync(join(root, "inside", "file"), "inside");
  writeFileSync(join(root, "etc", "passwd"), "the container's");
  symlinkSync("../..", join(root, "up"));
  symlinkSync("/etc/passwd", join(root, "abs"));
  symlinkSync(join(base, "outside", "secret"), join(root, "absolute-host-path"));
  symlinkSync("../../../../../../etc/passwd", join(root, "inside", "dots"));
  symlinkSync("loop", join(root, "loop"));
  return { base, root };
}

const { root } = makeTree();
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const inRoot = (path: string) => {
  using dir = open(root, O_PATH | O_DIRECTORY);
  using fd = openAt(dir, path, O_RDONLY, { resolve: RESOLVE_IN_ROOT });
  return text(readAll(fd));
};

test.each(["etc/passwd", "/etc/passwd", "../etc/passwd", "../../../../etc/passwd", "abs", "inside/dots", "up/etc/passwd", "inside/../../../etc/passwd"])(
  "RESOLVE_IN_ROOT: %s stays in the root",
  (path) => {
    expect(inRoot(path)).toBe("the container's");
  },
);

test("RESOLVE_IN_ROOT: an absolute link to a path of the host finds nothing", () => {
  expect(refusal(() => inRoot("absolute-host-path"))).toBe("ENOENT");
  expect(refusal(() => inRoot("up/outside/secret"))).toBe("ENOENT");
  expect(refusal(() => inRoot("loop"))).toBe("ELOOP");
});

test("RESOLVE_IN_ROOT: magic links of procfs do not lead out", () => {
  using dir = open("/proc/self", O_PATH | O_DIRECTORY);
  expect(refusal(() => openAt(dir, "root/etc", O_RDONLY, { resolve: RESOLVE_IN_ROOT }))).toBe("EXDEV");
  expect(refusal(() => openAt(dir, "cwd", O_RDONLY, { resolve: RESOLVE_NO_MAGICLINKS }))).toBe("ELOOP");
});

test("RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS refuse what RESOLVE_IN_ROOT would bend", () => {
  using dir = open(root, O_PATH | O_DIRECTORY);
  expect(refusal(() => openAt(dir, "../outside/secret", O_RDONLY, { resolve: RESOLVE_BENEATH }))).toBe("EXDEV");
  expect(refusal(() => openAt(dir, "abs", O_RDONLY, { resolve: RESOLVE_BENEATH }))).toBe("EXDEV");
  expect(refusal(() => openAt(dir, "up", O_PATH, { resolve: RESOLVE_NO_SYMLINKS }))).toBe("ELOOP");
});

test("an error names the path, and a path with NUL is refused", () => {
  expect(() => open("/nowhere", O_RDONLY)).toThrow("openat2 /nowhere: no such file or directory (ENOENT)");
  expect(refusal(() => open("/etc/passwd\0", O_RDONLY))).toBe("EINVAL");
  expect(tryOpenAt(-100, "/nowhere", O_RDONLY)).toBe(-2);
});

test("everything opened is close-on-exec", () => {
  using fd = open("/dev/null", O_RDONLY);
  expect(cloexec(fd.number)).toBe(true);
  const [reader, writer] = pipe();
  expect([reader, writer].map(({ number }) => cloexec(number))).toEqual([true, true]);
  duplicateOnto(fd, reader.number);
  expect(cloexec(reader.number)).toBe(false);
  duplicateOnto(fd, fd.number);
  expect(cloexec(fd.number)).toBe(false);
  reader.close();
  writer.close();
});

function cloexec(number: number): boolean {
  using info = open(`/proc/self/fdinfo/${number}`, O_RDONLY);
  return (Number.parseInt(/flags:\s*(\d+)/.exec(text(readAll(info)))?.[1] ?? "", 8) & 0o2000000) !== 0;
}

test("a directory of 3,000 names is listed completely, each once", () => {
  const dir = join(workDir, uniqueId());
  mkdirSync(dir);
  for (let i = 0; i < 3000; i++) closeSync(openSync(join(dir, `${i}-${"n".repeat(i % 200)}`), "w"));
  using fd = open(dir, O_RDONLY | O_DIRECTORY);
  const names = listDirectory(fd);
  expect(names).toHaveLength(3000);
  expect(names.sort()).toEqual(readdirSync(dir).sort());
});

test("reading stops at the limit and leaves the rest", () => {
  const [reader, writer] = pipe();
  writeAll(writer, "0123456789");
  expect(text(readAll(reader, 4))).toBe("0123");
  expect(text(read(reader, 100))).toBe("456789");
  writer.close();
  expect(readAll(reader)).toHaveLength(0);
  reader.close();
});

test("a file larger than the scratch region is read and written whole", () => {
  const path = join(workDir, uniqueId());
  const content = Buffer.alloc(2_500_000, "0123456789abcdef");
  using out = open(path, O_WRONLY | O_CREAT, { mode: 0o640 });
  writeAll(out, content);
  using back = open(path, O_RDONLY);
  expect(Buffer.from(readAll(back, 10_000_000)).equals(content)).toBe(true);
  expect(readAll(open(path, O_RDONLY))).toHaveLength(1 << 20);
  expect(read(open(path, O_RDONLY), 2_000_000)).toHaveLength(2_000_000);
});

test("stat tells type, size and mode of a descriptor and of a name, without following a link", () => {
  const path = join(workDir, uniqueId());
  writeFileSync(path, "12345");
  chmodSync(path, 0o4751);
  using fd = open(path, O_PATH);
  expect(statAt(fd)).toMatchObject({ mode: S_IFREG | 0o4751, size: 5, nlink: 1, uid: 0 });
  using dir = open(root, O_RDONLY | O_DIRECTORY);
  expect(statAt(dir).mode & S_IFMT).toBe(S_IFDIR);
  expect(statAt(dir, "loop").size).toBe(4);
  using device = open("/dev/zero", O_PATH);
  expect(statAt(device).rdev).toEqual({ major: 1, minor: 5 });
});

test("a link is read as it is written, by name and by descriptor", () => {
  using dir = open(root, O_RDONLY | O_DIRECTORY);
  expect(readLinkAt(dir, "up")).toBe("../..");
  using link = openAt(dir, "up", O_PATH | O_NOFOLLOW);
  expect(readLinkAt(link, "")).toBe("../..");
});

test("a device number is composed as makedev(3) does", () => {
  expect(makeDevice(1, 3)).toBe(0x103);
  expect(makeDevice(8, 0x12345)).toBe(0x12300845);
});
