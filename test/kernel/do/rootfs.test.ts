import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import { ensurePackages } from "../../packages.ts";
import { busybox, directory, file, savedImage, symlink, tar, writeLayout, type ImageOptions, type Member } from "./archives.ts";
import { until } from "../../support/until.ts";
import { describeCallers, describeRoot, type Scene } from "./support.ts";

beforeAll(async () => ensurePackages(["busybox-static", "xz-utils"]));

let counter = 0;
const fresh = (scene: Scene) => scene.path(`rootfs-${++counter}`);

/** Writes bytes that the caller can read. @returns the path. */
function write(scene: Scene, data: Buffer, suffix = ".tar"): string {
  const path = `${fresh(scene)}${suffix}`;
  writeFileSync(path, data);
  scene.give(path, 0o600);
  return path;
}

/** An OCI layout that the caller can read. */
function layout(scene: Scene, layers: readonly Buffer[], options: ImageOptions = {}): string {
  return writeLayout(fresh(scene), layers, options);
}

const layer = async (...members: Member[]) => tar(members);

describeCallers("do --rootfs: a directory", (scene) => {
  const unpacked = async () => {
    const path = fresh(scene());
    mkdirSync(path);
    execFileSync("tar", ["-x", "-C", path], { input: await tar([...busybox(), file("./secret", "owner's\n", 0o600)]) });
    execFileSync("chown", ["-R", `${scene().caller.uid}:${scene().caller.gid}`, path]);
    return path;
  };

  test("is the root, belongs to the sandbox, and is not changed", async () => {
    const path = await unpacked();
    const flags = ["--rootfs", path];
    expect(await scene().must("id -u; cat /secret; echo new > /etc/new; rm /secret; ls /; pwd", { flags, cwd: "/" })).toBe(`0\nowner's\nbin\ndev\netc\nproc\n${scene().caller.mode === "sentry" ? "sys\n" : ""}tmp\n/\n`);
    expect(readdirSync(path).toSorted()).toEqual(["bin", "etc", "secret", "tmp"]);
    expect(readdirSync(join(path, "etc"))).not.toContain("new");
  });

  test("shows the current directory at its own path, read-only or not", async () => {
    const flags = ["--rootfs", await unpacked()];
    const project = scene().make(`project-${counter}`);
    expect(await scene().must("pwd; ls -A", { flags, cwd: project })).toBe(`${project}\n`);
    expect((await scene().sh("touch x", { flags, cwd: project })).stderr).toContain("Read-only");
    await scene().must("echo made > x", { flags: [...flags, "--rw"], cwd: project });
    expect(readFileSync(join(project, "x"), "utf8")).toBe("made\n");
  });

  test("nothing of the host's root is in it", async () => {
    expect(await scene().must("ls -A /proc/1/root/ 2>/dev/null; ls -A /dev /proc/self/cwd/ | grep -c passwd; cat /proc/self/mountinfo | grep -c ' /etc '; true", { flags: ["--rootfs", await unpacked()], cwd: "/" })).toBe("0\n0\n");
  });

  test("--bind, --env, --cwd and --user work with it", async () => {
    const lent = scene().make(`lent-${counter}`);
    const flags = ["--rootfs", await unpacked(), "--bind", `${lent}:/mnt/deep/inside:rw`, "--env", "A=b", "--cwd", "/mnt/deep", "--user", "42:43"];
    expect(await scene().must("id -u; id -g; echo $A; pwd; touch inside/x", { flags })).toBe("42\n43\nb\n/mnt/deep\n");
    expect(readdirSync(lent)).toEqual(["x"]);
  });

  test("one that is not there is refused", async () => {
    expect(await scene().sh("true", { flags: ["--rootfs", "/no/such"] })).toMatchObject({ code: 125, stderr: "tssandbox: --rootfs /no/such: ENOENT\n" });
  });
});

const members = () => [...busybox(), directory("./data", 0o750), file("./data/file", "content\n", 0o640), symlink("./data/link", "file"), { ...file("./data/foreign", "x\n"), uid: 33, gid: 44 }];

describeCallers("do --rootfs: an archive", (scene) => {
  for (const [name, compress] of [["plain", (data: Buffer) => data], ["gzip", gzipSync], ["zstd", zstdCompressSync], ["xz", (data: Buffer) => execFileSync("xz", ["-c"], { input: data })]] as const) {
    test(`${name}: modes, links and content are there`, async () => {
      // The suffix says nothing: what is in the file counts.
      const flags = ["--rootfs", write(scene(), compress(await tar(members())), ".bin")];
      expect(await scene().must("cat /data/link; stat -c '%a %n' /data /data/file /tmp /bin/busybox", { flags, cwd: "/" })).toBe("content\n750 /data\n640 /data/file\n1777 /tmp\n755 /bin/busybox\n");
    });
  }

  test("times are kept, set-id bits are not", async () => {
    const archive = await tar([...busybox(), { ...file("./old", "x", 0o6755), mtime: new Date(86_400_000) }]);
    expect(await scene().must("stat -c '%a %Y' /old", { flags: ["--rootfs", write(scene(), archive)] })).toBe("755 86400\n");
  });

  test("a damaged one is refused, and nothing is left of it", async () => {
    const whole = await tar(members());
    for (const data of [whole.subarray(0, 3000), Buffer.from("this is no archive ".repeat(99)), gzipSync(whole).subarray(0, 5000), Buffer.concat([whole.subarray(0, 512), Buffer.alloc(512, 1), whole.subarray(1024)])]) {
      const result = await scene().sh("true", { flags: ["--rootfs", write(scene(), data)] });
      expect(result.code).toBe(125);
      expect(result.stderr).toMatch(/^tssandbox: .+\n$/);
    }
  });

  test("an interrupted one is removed", async () => {
    const big = write(scene(), await tar([...busybox(), ...Array.from({ length: 30_000 }, (_, i) => file(`./f/${i}`, "x"))]));
    const running = scene().start(["true"], { flags: ["--rootfs", big] });
    await until("unpacking has begun", () => readdirSync("/var/tmp").some((name) => name.includes(`do-${running.pid}-`)), 20_000);
    running.child.kill("SIGTERM");
    const result = await running.result;
    expect(result).toMatchObject({ code: 125, stderr: "tssandbox: interrupted by SIGTERM\n" });
    expect(readdirSync("/var/tmp").filter((name) => name.includes(`do-${running.pid}-`))).toEqual([]);
  });

  test("nothing is left of a whole one either", async () => {
    const running = scene().start(["sh", "-c", "true"], { flags: ["--rootfs", write(scene(), await tar(members()))] });
    expect((await running.result).code).toBe(0);
    expect(readdirSync("/var/tmp").filter((name) => name.includes(`do-${running.pid}-`))).toEqual([]);
  });
});

describeRoot("do --rootfs: owners", (scene) => {
  test("are those of the archive", async () => {
    const archive = await tar([...busybox(), { ...file("./a", "x"), uid: 33, gid: 44 }, { ...symlink("./l", "a"), uid: 5, gid: 6 }, { ...directory("./d"), uid: 7, gid: 8 }, { ...file("./far", "x"), uid: 5_000_000, gid: 0 }]);
    expect(await scene().must("stat -c '%u:%g' /a /l /d /far /bin/busybox", { flags: ["--rootfs", write(scene(), archive)] })).toBe("33:44\n5:6\n7:8\n65534:0\n0:0\n");
  });
});

const base = async () => tar(busybox());

/** An index as multi-platform images have it, attestation included. */
const manyPlatforms = (manifest: object): object => {
  const on = (os: string, architecture: string) => ({ ...manifest, platform: { os, architecture } });
  return { schemaVersion: 2, manifests: [{ ...on("linux", "riscv64"), digest: `sha256:${"0".repeat(64)}` }, on("linux", "amd64"), on("unknown", "unknown")] };
};

/** Writes a layout whose index leads to that index. */
function nestedLayout(scene: Scene, layers: readonly Buffer[]): string {
  const path = layout(scene, layers, { index: manyPlatforms });
  const inner = readFileSync(join(path, "index.json"));
  const digest = createHash("sha256").update(inner).digest("hex");
  writeFileSync(join(path, "blobs/sha256", digest), inner);
  writeFileSync(join(path, "index.json"), JSON.stringify({ manifests: [{ mediaType: "application/vnd.oci.image.index.v1+json", digest: `sha256:${digest}` }] }));
  return path;
}

describeCallers("do --rootfs: an image", (scene) => {
  test("of several layers, the later ones on top; as a directory, as an archive, compressed or not", async () => {
    const layers = [await base(), gzipSync(await layer(file("etc/one", "1\n"), file("etc/two", "1\n"))), zstdCompressSync(await layer(file("etc/two", "2\n")))];
    const path = layout(scene(), layers);
    const command = "cat /etc/one /etc/two";
    expect(await scene().must(command, { flags: ["--rootfs", path] })).toBe("1\n2\n");
    const archive = execFileSync("tar", ["-c", "-C", path, "."], { maxBuffer: 64 << 20 });
    expect(await scene().must(command, { flags: ["--rootfs", write(scene(), archive)] })).toBe("1\n2\n");
    expect(await scene().must(command, { flags: ["--rootfs", write(scene(), gzipSync(archive), ".tgz")] })).toBe("1\n2\n");
  });

  test("whiteouts remove what earlier layers brought, and only that", async () => {
    const lower = await layer(file("a/gone", "x"), file("a/stays", "x"), file("b/old", "x"), file("b/sub/old", "x"), file("c/replaced", "old"), directory("d"), file("d/inner", "x"));
    const upper = await layer(
      file("a/.wh.gone", ""),
      file("b/new", "x"),
      file("b/sub/new", "x"),
      file("b/.wh..wh..opq", ""),
      file("c/replaced", "new\n"),
      file("c/.wh.replaced", ""),
      file(".wh.d", ""),
      file(".wh.never-there", ""),
    );
    expect(await scene().must("find /a /b /c -type f | sort; cat /c/replaced; ls -d /d 2>/dev/null; true", { flags: ["--rootfs", layout(scene(), [await base(), lower, upper])] })).toBe(
      "/a/stays\n/b/new\n/b/sub/new\n/c/replaced\nnew\n",
    );
  });

  test("a directory takes the place of a link or file and the other way round", async () => {
    const lower = await layer(directory("was-dir"), file("was-dir/x", "x"), file("was-file", "x"), symlink("was-link", "bin"));
    const upper = await layer(file("was-dir", "file\n"), directory("was-file"), directory("was-link"), file("was-link/y", "y\n"));
    expect(await scene().must("cat /was-dir /was-link/y; ls -d /was-file/; ls /bin/y 2>/dev/null; true", { flags: ["--rootfs", layout(scene(), [await base(), lower, upper])] })).toBe("file\ny\n/was-file/\n");
  });

  test("a later layer writes through a directory link of an earlier one", async () => {
    const flags = ["--rootfs", layout(scene(), [await base(), await layer(directory("usr/lib"), symlink("lib", "usr/lib")), await layer(file("lib/x", "through\n"))])];
    expect(await scene().must("cat /usr/lib/x", { flags })).toBe("through\n");
  });

  test("its configuration is honoured: environment, directory, user, entry point, command", async () => {
    const config = { Env: ["FROM_IMAGE=yes", "PATH=/bin:/own"], WorkingDir: "/etc", User: "app:staff", Entrypoint: ["/bin/sh", "-c", 'echo "$0 $@"; pwd; id -u; id -g; echo $FROM_IMAGE $PATH $ADDED $HOME'], Cmd: ["default"] };
    const path = layout(scene(), [await base()], { config });
    const rest = "/etc\n500\n700\nyes /bin:/own b /srv/app\n";
    expect(await scene().run([], { flags: ["--rootfs", path, "--env", "ADDED=b"] })).toMatchObject({ code: 0, stdout: `default \n${rest}` });
    expect(await scene().run(["given", "x"], { flags: ["--rootfs", path, "--env", "ADDED=b"] })).toMatchObject({ code: 0, stdout: `given x\n${rest}` });
    const over = await scene().run(["given"], { flags: ["--rootfs", path, "--env", "ADDED=b", "--env", "FROM_IMAGE=no", "--cwd", "/tmp", "--user", "9"] });
    expect(over.stdout).toBe("given \n/tmp\n9\n9\nno /bin:/own b /\n");
  });

  test("a user that it does not know, or no command at all, is refused", async () => {
    const unknown = await scene().sh("true", { flags: ["--rootfs", layout(scene(), [await base()], { config: { User: "nobody-here" } })] });
    expect(unknown).toMatchObject({ code: 125, stderr: expect.stringContaining("nobody-here") });
    expect(await scene().run([], { flags: ["--rootfs", layout(scene(), [await base()])] })).toMatchObject({ code: 125, stderr: expect.stringContaining("command") });
  });

  test("the manifest for this machine is chosen, through nested indexes", async () => {
    expect(await scene().must("echo ran", { flags: ["--rootfs", nestedLayout(scene(), [await base()])] })).toBe("ran\n");
    const other = layout(scene(), [await base()], { platform: { os: "linux", architecture: "s390x" } });
    expect(await scene().sh("true", { flags: ["--rootfs", other] })).toMatchObject({ code: 125, stderr: expect.stringContaining("linux/s390x") });
    const two = layout(scene(), [await base()], { index: (manifest) => ({ schemaVersion: 2, manifests: [manifest, manifest] }) });
    expect(await scene().sh("true", { flags: ["--rootfs", two] })).toMatchObject({ code: 125, stderr: expect.stringContaining("2 images") });
  });

  test("content with another digest is refused, in layers, manifest and configuration alike", async () => {
    for (const i of [0, 1, 2]) {
      const path = layout(scene(), [await base()], { config: { Env: ["X=1"] } });
      const blobs = join(path, "blobs/sha256");
      const name = readdirSync(blobs).toSorted()[i] ?? "";
      // Appended: a decompressor or parser would not notice.
      writeFileSync(join(blobs, name), Buffer.concat([readFileSync(join(blobs, name)), Buffer.from("\n")]));
      const result = await scene().sh("echo ran", { flags: ["--rootfs", path] });
      expect(result).toMatchObject({ code: 125, stdout: "", stderr: expect.stringContaining(`sha256:${name} has another digest`) });
    }
  });

  test("what docker save writes", async () => {
    const archive = await savedImage([await base(), await layer(file("etc/saved", "saved\n"))], { Cmd: ["cat", "/etc/saved"] });
    expect(await scene().run([], { flags: ["--rootfs", write(scene(), archive)] })).toMatchObject({ code: 0, stdout: "saved\n" });
  });

  test("blobs that are links out of the layout are not followed", async () => {
    const path = layout(scene(), [await base()]);
    const outside = scene().path(`outside-${counter}`);
    rmSync(join(path, "index.json"));
    writeFileSync(outside, '{"manifests":[]}');
    symlinkSync(outside, join(path, "index.json"));
    const result = await scene().sh("true", { flags: ["--rootfs", path] });
    expect(result.code).not.toBe(0);
    expect(result.stderr).not.toContain("empty");
  });
});
