import { readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR } from "../../../linux/abi/fcntl.ts";
import { XATTR_CREATE, XATTR_REPLACE } from "../../../linux/abi/xattr.ts";
import { open, readAll, statAt, writeAll } from "../../../linux/file.ts";
import { createMemfd, createSealed } from "../../../linux/memfd.ts";
import { getXattr, listXattr, removeXattr, setXattr } from "../../../linux/xattr.ts";
import { refusal } from "../../support/forked.ts";
import { uniqueId } from "../../support/paths.ts";

test("a sealed file has its content and takes no other", () => {
  using fd = createSealed("sealed", Buffer.from("content"));
  expect(readlinkSync(fd.procPath)).toBe("/memfd:sealed (deleted)");
  expect(readFileSync(fd.procPath, "utf8")).toBe("content");
  expect(refusal(() => writeAll(fd, "x"))).toBe("EPERM");
  using again = open(fd.procPath, O_RDWR);
  expect(refusal(() => writeAll(again, "x"))).toBe("EPERM");
});

test.each([["program", 0o111], ["data", 0]] as const)("a memfd for a %s has execute bits accordingly", (kind, bits) => {
  using fd = createMemfd("kind", kind);
  expect(statAt(fd).mode & 0o111).toBe(bits);
});

/** A directory of a file system with user attributes, which tmpfs has only since Linux 6.6. */
const file = join("/var/tmp", uniqueId());
const link = `${file}-link`;
writeFileSync(file, "text");
symlinkSync(file, link);
afterAll(() => {
  rmSync(file, { force: true });
  rmSync(link, { force: true });
});

test.each([["an open file", O_RDONLY], ["an O_PATH descriptor", O_PATH]])("attributes of %s are set, listed, read and removed", (_what, flags) => {
  using fd = open(file, flags);
  expect(getXattr(fd, "user.one")).toBeUndefined();
  setXattr(fd, "user.one", Buffer.from([0, 1, 255]));
  setXattr(fd, "user.two", Buffer.from(""));
  expect(listXattr(fd).sort()).toEqual(["user.one", "user.two"]);
  expect(getXattr(fd, "user.one")).toEqual(new Uint8Array([0, 1, 255]));
  expect(getXattr(fd, "user.two")).toEqual(new Uint8Array());
  expect(refusal(() => setXattr(fd, "user.one", Buffer.from("x"), XATTR_CREATE))).toBe("EEXIST");
  expect(refusal(() => setXattr(fd, "user.three", Buffer.from("x"), XATTR_REPLACE))).toBe("ENODATA");
  expect(removeXattr(fd, "user.one")).toBe(true);
  expect(removeXattr(fd, "user.one")).toBe(false);
  removeXattr(fd, "user.two");
  expect(listXattr(fd)).toEqual([]);
});

test("a symbolic link opened without following is meant itself", () => {
  using fd = open(link, O_PATH | O_NOFOLLOW);
  setXattr(fd, "trusted.one", Buffer.from("link"));
  using target = open(file, O_PATH);
  expect(listXattr(fd)).toEqual(["trusted.one"]);
  expect(getXattr(fd, "trusted.one")).toEqual(new Uint8Array(Buffer.from("link")));
  expect(listXattr(target)).toEqual([]);
  expect(refusal(() => setXattr(fd, "user.one", Buffer.from("x")))).toBe("EPERM");
  expect(new TextDecoder().decode(readAll(open(file, O_RDONLY)))).toBe("text");
});
