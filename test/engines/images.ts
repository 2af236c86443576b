import { createHash } from "node:crypto";
import { cpSync, createReadStream, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages } from "../packages.ts";
import { CACHE, execute } from "./support.ts";

/** The name an engine knows an image by, and the OCI image archive to import it from. */
export interface Image {
  readonly name: string;
  readonly archive: string;
  /** What it runs unless told otherwise. */
  readonly command: readonly string[];
}

export const BUSYBOX: Image = image("busybox");
export const DEBIAN: Image = image("debian");
/** Kubernetes' pod image: busybox, waiting. */
export const PAUSE: Image = image("pause", ["sleep", "2147483647"]);

function image(name: string, command: readonly string[] = ["/bin/sh"]): Image {
  return { name: `localhost/tss-${name}:latest`, archive: join(CACHE, `${name}.tar`), command };
}

/** Builds the archives that are not in the cache, without any registry. The first debootstrap takes about 40 s. */
export async function ensureImages(...wanted: Image[]): Promise<void> {
  await ensurePackages(["busybox-static", "debootstrap"]);
  mkdirSync(CACHE, { recursive: true });
  for (const each of wanted) {
    if (existsSync(each.archive)) continue;
    // flock(1): test files run side by side, and the lock goes with the process that holds it.
    const build = [process.execPath, import.meta.filename, each.name];
    const done = await execute(["flock", join(CACHE, "lock"), ...build], { timeout: 280 });
    if (done.code !== 0) throw new Error(`cannot build ${each.name}:\n${done.stdout}${done.stderr}`);
  }
}

async function build(name: string): Promise<void> {
  const each = [BUSYBOX, DEBIAN, PAUSE].find((known) => known.name === name);
  if (each === undefined) throw new Error(`no such image: ${name}`);
  if (existsSync(each.archive)) return;
  const scratch = mkdtempSync(join(CACHE, "build-"));
  try {
    const root = join(scratch, "root");
    await (each === DEBIAN ? debianRoot(root) : busyboxRoot(root));
    await writeArchive(root, each, scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function busyboxRoot(root: string): Promise<void> {
  for (const directory of ["bin", "etc", "root", "tmp", "var"]) mkdirSync(join(root, directory), { recursive: true });
  cpSync("/bin/busybox", join(root, "bin/busybox"));
  const applets = (await checked(["busybox", "--list"])).split("\n").filter((name) => name !== "" && name !== "busybox");
  for (const applet of applets) symlinkSync("busybox", join(root, "bin", applet));
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nguest:x:1234:1234::/tmp:/bin/sh\n");
  writeFileSync(join(root, "etc/group"), "root:x:0:\nguest:x:1234:\nextra:x:4321:guest\n");
}

/** A Debian with these packages, as a directory that nobody may change. */
export async function debianWith(packages: readonly string[]): Promise<string> {
  await ensurePackages(["debootstrap"]);
  mkdirSync(CACHE, { recursive: true });
  const root = join(CACHE, `debian-${packages.join("-")}`);
  if (existsSync(root)) return root;
  const scratch = mkdtempSync(join(CACHE, "build-"));
  try {
    await checked(["unshare", "--mount", "debootstrap", "--variant=minbase", `--include=${packages.join(",")}`, "bookworm", join(scratch, "root"), await debianMirror()]);
    renameSync(join(scratch, "root"), root);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return root;
}

async function debianRoot(root: string): Promise<void> {
  const mirror = await debianMirror();
  // In a mount namespace of its own, what debootstrap mounts goes with it even if it is killed.
  await checked(["unshare", "--mount", "debootstrap", "--variant=minbase", "bookworm", root, mirror]);
  for (const path of ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"]) {
    for (const entry of readdirSync(join(root, path))) rmSync(join(root, path, entry), { recursive: true });
  }
}

/** The mirror of bookworm that this machine's apt uses. */
export async function debianMirror(): Promise<string> {
  const targets = await checked(["apt-get", "indextargets", "--format", "$(CODENAME) $(SITE)"]);
  const mirror = /^bookworm (\S+)$/m.exec(targets)?.[1];
  if (mirror === undefined) throw new Error("apt knows no source of bookworm");
  return mirror;
}

/** An OCI image layout in a tar file (image-spec, image-layout.md), with the names podman and containerd look for. */
async function writeArchive(root: string, { name, archive, command }: Image, scratch: string): Promise<void> {
  const layout = join(scratch, "layout");
  mkdirSync(join(layout, "blobs/sha256"), { recursive: true });
  const tar = join(scratch, "layer.tar");
  await checked(["tar", "-C", root, "--sort=name", "--numeric-owner", "-cf", tar, "."]);
  const layer = await storeFile(layout, tar, "application/vnd.oci.image.layer.v1.tar");
  const config = await storeJson(layout, "application/vnd.oci.image.config.v1+json", {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], Cmd: command },
    rootfs: { type: "layers", diff_ids: [layer.digest] },
  });
  const manifestType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = await storeJson(layout, manifestType, { schemaVersion: 2, mediaType: manifestType, config, layers: [layer] });
  const annotations = { "org.opencontainers.image.ref.name": name, "io.containerd.image.name": name };
  writeFileSync(join(layout, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }));
  writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  await checked(["tar", "-C", layout, "-cf", `${archive}.new`, "."]);
  renameSync(`${archive}.new`, archive);
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

async function storeJson(layout: string, mediaType: string, value: object): Promise<Descriptor> {
  const file = join(layout, "blob.json");
  writeFileSync(file, JSON.stringify(value));
  return storeFile(layout, file, mediaType);
}

/** Moves a file to its place among the blobs. */
async function storeFile(layout: string, file: string, mediaType: string): Promise<Descriptor> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  const hex = hash.digest("hex");
  const { size } = statSync(file);
  renameSync(file, join(layout, "blobs/sha256", hex));
  return { mediaType, digest: `sha256:${hex}`, size };
}

async function checked(argv: readonly string[]): Promise<string> {
  const done = await execute(argv, { timeout: 270 });
  if (done.code !== 0) throw new Error(`${argv.join(" ")}: exit ${done.code}\n${done.stdout.slice(-2000)}${done.stderr}`);
  return done.stdout;
}

if (import.meta.main) await build(process.argv[2] ?? "");
