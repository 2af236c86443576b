/** A gofer started by an ordinary user, with nothing but his own id: the guest's owners are recorded beside the files. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { removeWorkDir } from "../../support/paths.ts";
import { freshDirectory, guestFile, runRootless } from "./mounted.ts";

afterAll(removeWorkDir);

const USER = 54_321;
/** Those that need no second id. */
const PARTS = ["creating", "contents", "holes", "names", "unlinked", "times", "listings", "attributes", "locks", "sockets", "rest"];

let program = "";
beforeAll(() => {
  program = guestFile("files");
});

test.each(PARTS)("%s", (part) => {
  const [from, at] = [freshDirectory(), freshDirectory()];
  const native = runRootless({ lend: [], tmpfs: at, cwd: at, command: [program, part] }, USER);
  expect(native).toMatchObject({ code: 0, stderr: "" });
  const lent = runRootless({ lend: [{ from, at, ownership: { kind: "recorded" } }], cwd: at, command: [program, part] }, USER);
  expect(lent).toMatchObject({ code: 0, stderr: "", stdout: native.stdout });
});

test("on the host every file is the user's, without set-id bits", () => {
  const [from, at] = [freshDirectory(), freshDirectory()];
  const script = "echo x > f; chmod 6755 f; stat -c '%a %u %g' f; mkdir d; chmod 2777 d; stat -c '%a %u' d";
  const done = runRootless({ lend: [{ from, at, ownership: { kind: "recorded" } }], cwd: at, command: ["/bin/sh", "-c", script] }, USER);
  expect(done).toMatchObject({ code: 0, stderr: "", stdout: "6755 0 0\n2777 0\n" });
  const seen = readdirSync(from).map((name) => statSync(join(from, name))).map(({ uid, gid, mode }) => [uid, gid, mode & 0o7777]);
  expect(seen).toEqual(expect.arrayContaining([[USER, USER, 0o755], [USER, USER, 0o777]]));
});
