import { describe, expect, test } from "vitest";

import { MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY, MS_BIND, MS_NOATIME, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC, MS_RELATIME, MS_SHARED, MS_SLAVE, MS_STRICTATIME } from "../../linux/abi/mount.ts";
import { MOUNT_OPTIONS } from "./mount-options.ts";
import { isBind, parseMountOptions } from "./mount-parse.ts";

describe("parseMountOptions", () => {
  test("sorts the options of a tmpfs", () => {
    expect(parseMountOptions(["nosuid", "noexec", "size=64m", "rprivate", "tmpcopyup", "mode=1777"])).toEqual({
      flags: MS_NOSUID | MS_NOEXEC,
      cleared: 0,
      propagation: [MS_PRIVATE | MS_REC],
      recursive: { set: 0, clear: 0 },
      idmap: "none",
      copyUp: true,
      data: ["size=64m", "mode=1777"],
    });
  });

  test("the later flag wins and an explicit off is remembered", () => {
    expect(parseMountOptions(["ro", "nodev", "rw"])).toMatchObject({ flags: MS_NODEV, cleared: MS_RDONLY });
    expect(parseMountOptions(["rw", "ro"])).toMatchObject({ flags: MS_RDONLY, cleared: 0 });
  });

  test("the later access-time option wins", () => {
    expect(parseMountOptions(["strictatime", "noatime"]).flags).toBe(MS_NOATIME);
    expect(parseMountOptions(["noatime", "strictatime"]).flags).toBe(MS_STRICTATIME);
    expect(parseMountOptions(["strictatime", "relatime"]).flags).toBe(MS_RELATIME);
  });

  test("recursive attributes clear the whole access-time field", () => {
    expect(parseMountOptions(["rro", "rnoatime"]).recursive).toEqual({ set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME, clear: MOUNT_ATTR__ATIME });
    expect(parseMountOptions(["rnoatime", "rrelatime"]).recursive).toEqual({ set: 0, clear: MOUNT_ATTR__ATIME });
    expect(parseMountOptions(["rnodev", "rdev"]).recursive).toEqual({ set: 0, clear: MOUNT_ATTR_NODEV });
  });

  test("propagation calls keep their order", () => {
    expect(parseMountOptions(["slave", "shared"]).propagation).toEqual([MS_SLAVE, MS_SHARED]);
  });

  test("bind is an option and not a type", () => {
    expect(isBind(parseMountOptions(["rbind"]))).toBe(true);
    expect(isBind(parseMountOptions(undefined))).toBe(false);
    expect(parseMountOptions(["rbind"]).flags).toBe(MS_BIND | MS_REC);
  });

  test("id mapping", () => {
    expect(parseMountOptions(["bind", "idmap"]).idmap).toBe("mount");
    expect(parseMountOptions(["bind", "ridmap"]).idmap).toBe("recursive");
  });
});

// config.md#linux-mount-options of 1.3.0, every row; `rnodev` is missing there and is in features.md.
const SPECIFIED = `async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec
noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime remount rexec
rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave
rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable idmap ridmap
rnodev`.split(/\s+/);

test("the table has exactly the specified options", () => {
  expect([...MOUNT_OPTIONS.keys()].sort()).toEqual([...SPECIFIED].sort());
});

const bits = ({ set, clear }: { set: number; clear: number }) => set | clear;

test("an option and its opposite touch the same bits", () => {
  for (const [name, option] of MOUNT_OPTIONS) {
    const opposite = MOUNT_OPTIONS.get(name.startsWith("r") ? `rno${name.slice(1)}` : `no${name}`);
    if (opposite?.kind !== option.kind || (option.kind !== "flag" && option.kind !== "recursive")) continue;
    expect(bits(option as never) & bits(opposite as never), name).not.toBe(0);
  }
});
