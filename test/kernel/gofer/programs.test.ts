/** Real programs on what a gofer lends, compared with what they do on the host's own directory. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { removeWorkDir } from "../../support/paths.ts";
import { debianRoot } from "./debian.ts";
import { freshDirectory, runOnMount, shellOn } from "./mounted.ts";

afterAll(removeWorkDir);

let debian = "";
beforeAll(async () => {
  debian = await debianRoot();
}, 300_000);

/** A root file system as a sandbox has it: lent read-only, what is written goes to an overlay. */
function inDebian(script: string) {
  const [lower, root] = [freshDirectory(), freshDirectory()];
  const lend = [{ from: debian, at: lower, readOnly: true }];
  return runOnMount({ lend, overlay: { lower, at: root }, bind: [{ from: "/dev", at: join(root, "dev") }], chroot: root, cwd: "/", command: ["/bin/bash", "-c", script] }, 60_000);
}

test("busybox sees what the host sees", () => {
  const source = freshDirectory();
  copyFileSync("/bin/busybox", join(source, "busybox"));
  mkdirSync(join(source, "a/b/c"), { recursive: true });
  for (let i = 0; i < 300; i++) writeFileSync(join(source, "a/b", `file-${i}`), "x".repeat(i));
  const script = "./busybox find . | sort | ./busybox md5sum; ./busybox du -a a | sort | ./busybox md5sum; ./busybox ls -lnR a | ./busybox md5sum; cat a/b/file-299";
  const native = execFileSync("/bin/sh", ["-c", script], { cwd: source, encoding: "utf8" });
  const lent = shellOn(source, script, { readOnly: true });
  expect(lent).toMatchObject({ code: 0, stderr: "" });
  expect(lent.stdout).toBe(native);
});

test("a Debian root runs, and what it writes stays in the overlay", () => {
  const done = inDebian("set -e; dpkg -l | grep -c ^ii > /root/count; rm -r /usr/share/bug; mv /etc/passwd /etc/passwd-; cat /etc/passwd- | md5sum; echo 'print 6*7, qq(\\n)' > /tmp/script; perl /tmp/script; wc -l < /root/count; ls -a /usr/share/bug 2>/dev/null || echo gone");
  expect(done.stderr).toBe("");
  const [sum, answer, lines, gone] = done.stdout.trim().split("\n");
  expect(sum).toBe(execFileSync("md5sum", { input: execFileSync("cat", [join(debian, "etc/passwd")]), encoding: "utf8" }).trim());
  expect([answer, lines, gone]).toEqual(["42", "1", "gone"]);
  expect(execFileSync("ls", [join(debian, "usr/share/bug")]).length).toBeGreaterThan(0);
});

test("every file of a Debian root has the content and attributes that it has on the host", () => {
  // Not the root directory itself: the overlay has made that one.
  const script = "export LC_ALL=C; tar -c --numeric-owner --sort=name --one-file-system --exclude=proc --exclude=sys --exclude=dev * | md5sum";
  const native = execFileSync("/bin/bash", ["-c", script], { cwd: debian, encoding: "utf8" });
  expect(inDebian(script)).toMatchObject({ code: 0, stderr: "", stdout: native });
});
