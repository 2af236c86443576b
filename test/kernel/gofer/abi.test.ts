/** Offsets, sizes and numbers of gofer/fuse/abi.ts, compared with what the C compiler knows from linux/fuse.h. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import * as abi from "../../../gofer/fuse/abi.ts";
import { removeWorkDir, workDir } from "../../support/paths.ts";

afterAll(removeWorkDir);

/** Table -> struct. A field `x_` is `x`, whose name is taken by the size of the whole. */
const STRUCTS: Record<string, string> = {
  IN_HEADER: "fuse_in_header", OUT_HEADER: "fuse_out_header", ATTR: "fuse_attr", ENTRY_OUT: "fuse_entry_out", ATTR_OUT: "fuse_attr_out",
  OPEN_OUT: "fuse_open_out", WRITE_OUT: "fuse_write_out", STATFS_OUT: "fuse_kstatfs", XATTR_OUT: "fuse_getxattr_out", LK_OUT: "fuse_file_lock",
  LSEEK_OUT: "fuse_lseek_out", DIRENT: "fuse_dirent", INIT_OUT: "fuse_init_out", STATX_OUT: "fuse_statx_out", INIT_IN: "fuse_init_in",
  FORGET_IN: "fuse_forget_in", BATCH_FORGET_IN: "fuse_batch_forget_in", FORGET_ONE: "fuse_forget_one", GETATTR_IN: "fuse_getattr_in",
  SETATTR_IN: "fuse_setattr_in", MKNOD_IN: "fuse_mknod_in", MKDIR_IN: "fuse_mkdir_in", RENAME_IN: "fuse_rename_in",
  RENAME2_IN: "fuse_rename2_in", LINK_IN: "fuse_link_in", OPEN_IN: "fuse_open_in", CREATE_IN: "fuse_create_in", RELEASE_IN: "fuse_release_in",
  FLUSH_IN: "fuse_flush_in", READ_IN: "fuse_read_in", WRITE_IN: "fuse_write_in", FSYNC_IN: "fuse_fsync_in", SETXATTR_IN: "fuse_setxattr_in",
  GETXATTR_IN: "fuse_getxattr_in", ACCESS_IN: "fuse_access_in", INTERRUPT_IN: "fuse_interrupt_in", FALLOCATE_IN: "fuse_fallocate_in",
  LSEEK_IN: "fuse_lseek_in", COPY_FILE_RANGE_IN: "fuse_copy_file_range_in", NOTIFY_INVAL_INODE_OUT: "fuse_notify_inval_inode_out",
};
/** Table -> prefix of its names in C. */
const NUMBERS: Record<string, string> = { OP: "FUSE_", INIT_FLAG: "FUSE_", FATTR: "FATTR_", FOPEN: "FOPEN_", NOTIFY: "FUSE_NOTIFY_" };
const SINGLE: Record<string, string> = {
  ROOT_NODE: "FUSE_ROOT_ID", MAJOR: "FUSE_KERNEL_VERSION", OPEN_KILL_SUIDGID: "FUSE_OPEN_KILL_SUIDGID", GETATTR_FH: "FUSE_GETATTR_FH",
  WRITE_KILL_SUIDGID: "FUSE_WRITE_KILL_SUIDGID", FSYNC_FDATASYNC: "FUSE_FSYNC_FDATASYNC", LK_FLOCK: "FUSE_LK_FLOCK",
  RELEASE_FLOCK_UNLOCK: "FUSE_RELEASE_FLOCK_UNLOCK", SETXATTR_IN_SHORT: "FUSE_COMPAT_SETXATTR_IN_SIZE",
};
/** Ours alone: the versions we speak. */
const OWN = ["MINOR", "OLDEST_MINOR"];
/** Since 7.39, which Debian 12's headers (7.38) do not have; checked by the running kernel in contract.test.ts and changes.test.ts. */
const NEWER = new Set(["STATX_OUT", "STATX_IN", "OP.STATX", "NOTIFY_INC_EPOCH"]);
/** Fields of a struct within the struct, or that had another name in 7.38. */
const NESTED: Record<string, string> = { "LK_IN.start": "lk.start", "LK_IN.end": "lk.end", "LK_IN.type": "lk.type", "LK_IN.pid": "lk.pid", "OPEN_OUT.backing_id": "padding" };

function expressions(): Map<string, readonly [ours: number, c: string]> {
  const found = new Map<string, readonly [number, string]>();
  for (const [name, value] of Object.entries(abi)) {
    if (OWN.includes(name) || NEWER.has(name)) continue;
    if (typeof value === "number") found.set(name, [value, SINGLE[name] ?? `unknown_${name}`]);
    else for (const [field, number] of Object.entries(value)) found.set(`${name}.${field}`, [number, expression(name, field)]);
  }
  for (const name of NEWER) found.delete(name);
  return found;
}

function expression(table: string, field: string): string {
  if (NUMBERS[table] !== undefined) return `${NUMBERS[table]}${field}`;
  const struct = table === "LK_IN" ? "fuse_lk_in" : STRUCTS[table];
  if (struct === undefined) return `unknown_${table}`;
  if (field === "size") return `sizeof(struct ${struct})`;
  return `offsetof(struct ${struct}, ${NESTED[`${table}.${field}`] ?? field.replace(/_$/, "")})`;
}

test("every number is the kernel's", () => {
  const wanted = expressions();
  expect(wanted.size).toBeGreaterThan(250);
  const lines = [...wanted].map(([name, [, c]]) => `printf("%s %lld\\n", "${name}", (long long)(${c}));`);
  const source = join(workDir, "fuse-probe.c");
  writeFileSync(source, `#include <stddef.h>\n#include <stdio.h>\n#include <linux/fuse.h>\nint main(void) {\n${lines.join("\n")}\nreturn 0;\n}\n`);
  const program = join(workDir, "fuse-probe");
  execFileSync("gcc", ["-o", program, source], { stdio: ["ignore", "inherit", "inherit"] });
  const output = execFileSync(program, { encoding: "utf8" }).trim().split("\n").map((line) => line.split(" "));
  expect(Object.fromEntries([...wanted].map(([name, [ours]]) => [name, ours]))).toEqual(
    Object.fromEntries(output.map(([name, value]) => [name, Number(value)])),
  );
});
