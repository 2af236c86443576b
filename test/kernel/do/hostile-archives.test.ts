/** Archives that try to reach out of the directory they are unpacked into. Each test looks for the effect on the host, not for the refusal only. */
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ensurePackages } from "../../packages.ts";
import { busybox, directory, file, link, symlink, tar, writeLayout, type Member } from "./archives.ts";
import { describeCallers } from "./support.ts";

const victim = `/opt/tss-do-victim-${process.pid}`;
const target = join(victim, "target");

beforeAll(async () => {
  await ensurePackages(["busybox-static"]);
  mkdirSync(victim);
  writeFileSync(target, "host\n");
  mkdirSync(join(victim, "directory"));
  for (const path of [victim, join(victim, "directory")]) writeFileSync(join(path, "kept"), "kept\n");
});
afterAll(() => rmSync(victim, { recursive: true, force: true }));

const up = "../".repeat(12);

function unharmed(): void {
  expect(readFileSync(target, "utf8")).toBe("host\n");
  expect(statSync(target).nlink).toBe(1);
  expect(existsSync(join(victim, "new"))).toBe(false);
  for (const path of [victim, join(victim, "directory")]) expect(existsSync(join(path, "kept"))).toBe(true);
}

describeCallers("do --rootfs: hostile archives", (scene) => {
  let counter = 0;
  const attempt = async (members: readonly Member[], script = "true", asLayer = false) => {
    const data = await tar([...busybox(), ...members]);
    const path = scene().path(`hostile-${++counter}`);
    if (asLayer) writeLayout(path, [await tar(busybox()), data]);
    else writeFileSync(path, data);
    const result = await scene().sh(script, { flags: ["--rootfs", path], cwd: "/" });
    unharmed();
    return result;
  };

  for (const name of [`${up}${victim}/new`, "a/../../../../../../opt/x", "..", "../x", "./../x"]) {
    test(`a member called ${JSON.stringify(name.replace(victim, "VICTIM"))} is refused`, async () => {
      const result = await attempt([file(name, "evil\n")]);
      expect(result).toMatchObject({ code: 125, stderr: expect.stringContaining('".."') });
    });
  }

  test("an absolute name counts from the archive's root", async () => {
    expect(await attempt([file(join(victim, "new"), "inside\n")], `cat ${victim}/new`)).toMatchObject({ code: 0, stdout: "inside\n" });
  });

  for (const [what, to] of [["absolute", victim], ["relative", `${up}${victim}`]] as const) {
    test(`a file written through an ${what} link lands beneath the root`, async () => {
      const result = await attempt([symlink("out", to), file("out/new", "inside\n"), file("out/target", "evil\n")], `cat ${victim}/new ${victim}/target`);
      expect(result).toMatchObject({ code: 0, stdout: "inside\nevil\n" });
    });
  }

  test("a file in the place of a link replaces the link, not what it leads to", async () => {
    expect(await attempt([symlink("out", target), file("out", "evil\n")], "cat /out")).toMatchObject({ code: 0, stdout: "evil\n" });
  });

  test("a directory over a link to a directory replaces the link", async () => {
    await attempt([symlink("out", victim), directory("out", 0o777), file("out/new", "x")]);
    expect(statSync(victim).mode & 0o777).not.toBe(0o777);
  });

  test("a hard link to a file of the host is refused", async () => {
    for (const to of [target, target.slice(1), `${up}${target}`]) expect((await attempt([link("out", to), file("out", "evil\n")])).code).toBe(125);
  });

  test("a hard link through a symbolic link finds nothing of the host", async () => {
    expect((await attempt([symlink("dir", victim), link("out", "dir/target")])).code).toBe(125);
    expect((await attempt([symlink("file", target), link("out", "file")])).code).toBe(125);
  });

  test("links in a circle end", async () => {
    expect((await attempt([symlink("a", "b"), symlink("b", "a"), file("a/x", "x")])).code).toBe(125);
  });

  test("whiteouts remove nothing of the host's", async () => {
    await attempt([symlink("out", victim), file("out/.wh.kept", ""), file("out/.wh.directory", ""), file("out/.wh..wh..opq", "")], "true", true);
    await attempt([symlink("out", victim), file(`.wh.out`, "")], "true", true);
    for (const name of [".wh...", "x/.wh...", ".wh.", ".wh.."]) expect((await attempt([file(name, "")], "true", true)).code).toBe(125);
  });

  test("device nodes and FIFOs are left out, with a warning", async () => {
    const nodes: Member[] = [{ name: "disk", type: "block-device", devmajor: 8, devminor: 0, mode: 0o666 }, { name: "mem", type: "character-device", devmajor: 1, devminor: 1, mode: 0o666 }, { name: "fifo", type: "fifo" }];
    const result = await attempt(nodes, "ls -d /disk /mem /fifo 2>/dev/null; echo done");
    expect(result).toMatchObject({ code: 0, stdout: "done\n", stderr: expect.stringContaining("3 device nodes and FIFOs") });
  });

  test("a file larger than it says, or larger than any image, is refused", async () => {
    const data = await tar([...busybox(), file("big", "x".repeat(600))]);
    const header = data.lastIndexOf("big\0");
    const huge = Buffer.from(data);
    huge.write("77777777777\0", header + 124, "latin1");
    let sum = 0;
    huge.fill(" ", header + 148, header + 156);
    for (const byte of huge.subarray(header, header + 512)) sum += byte;
    huge.write(`${sum.toString(8).padStart(6, "0")}\0 `, header + 148, "latin1");
    const path = scene().path("huge.tar");
    writeFileSync(path, huge);
    expect((await scene().sh("true", { flags: ["--rootfs", path] })).code).toBe(125);
  });

  test("names with control characters, quotes and non-ASCII letters are names", async () => {
    const names = ["a\nb", "quo'te\"", "ü", "-rf", "a:b,c\\d"];
    const result = await attempt([directory("n"), ...names.map((name) => file(`n/${name}`, "x"))], "cd /n; cat ./*; cat ü ./-rf; cat 'a:b,c\\d'");
    expect(result).toMatchObject({ code: 0, stdout: "x".repeat(8) });
  });

  test("the root's own passwd and links cannot move the sandbox's mounts", async () => {
    const moved = [symlink("proc", victim), symlink("dev", victim)];
    const result = await attempt(moved, "ls /dev/null");
    expect(existsSync(join(victim, "null"))).toBe(false);
    expect(lstatSync(victim).isDirectory()).toBe(true);
    expect(result.code).not.toBe(0);
  });
});
