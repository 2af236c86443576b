/** Archives and images for `--rootfs`, made by hand so that they can be wrong in every way. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { pack, type Headers } from "tar-stream";

export type Member = Omit<Headers, "name"> & { readonly name: string; readonly content?: string | Buffer };

/** A tar archive of these members, in their order. */
export async function tar(members: readonly Member[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of members) {
    if (content === undefined) archive.entry(header).end();
    else archive.entry({ ...header, size: Buffer.byteLength(content) }, Buffer.from(content));
  }
  archive.finalize();
  return await buffer(archive);
}

export const file = (name: string, content: string, mode = 0o644): Member => ({ name, content, mode });
export const directory = (name: string, mode = 0o755): Member => ({ name, type: "directory", mode });
export const symlink = (name: string, linkname: string): Member => ({ name, type: "symlink", linkname });
export const link = (name: string, linkname: string): Member => ({ name, type: "link", linkname });

/** A root file system with a shell. */
export function busybox(): Member[] {
  const path = "/bin/busybox";
  if (!existsSync(path)) throw new Error(`${path} is missing: install the Debian package busybox-static`);
  const applets = ["sh", "cat", "ls", "id", "touch", "pwd", "env", "stat", "test", "echo", "sort", "find", "rm", "mkdir", "true", "grep"];
  return [
    directory("./"),
    directory("./bin"),
    { name: "./bin/busybox", content: readFileSync(path), mode: 0o755 },
    ...applets.map((applet) => symlink(`./bin/${applet}`, "busybox")),
    directory("./etc"),
    file("./etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:500:501:app:/srv/app:/bin/sh\n"),
    file("./etc/group", "root:x:0:\nstaff:x:700:\n"),
    { ...directory("./tmp"), mode: 0o1777 },
  ];
}

const sha256 = (data: string | Buffer) => `sha256:${createHash("sha256").update(data).digest("hex")}`;

export interface ImageOptions {
  readonly config?: object;
  readonly platform?: { readonly os: string; readonly architecture: string };
  /** Changes the index before it is written. */
  readonly index?: (manifest: object) => object;
}

/** Writes an OCI layout. @returns the directory. */
export function writeLayout(path: string, layers: readonly Buffer[], options: ImageOptions = {}): string {
  const blobs = join(path, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (data: string | Buffer, mediaType: string) => {
    const digest = sha256(data);
    writeFileSync(join(blobs, digest.slice("sha256:".length)), data);
    return { mediaType, digest, size: Buffer.byteLength(data) };
  };
  const config = put(JSON.stringify({ architecture: "amd64", os: "linux", config: options.config ?? {}, rootfs: { type: "layers", diff_ids: [] } }), "application/vnd.oci.image.config.v1+json");
  const manifest = {
    schemaVersion: 2,
    config,
    layers: layers.map((layer) => put(layer, "application/vnd.oci.image.layer.v1.tar")),
  };
  const entry = { ...put(JSON.stringify(manifest), "application/vnd.oci.image.manifest.v1+json"), ...(options.platform ? { platform: options.platform } : {}) };
  writeFileSync(join(path, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  writeFileSync(join(path, "index.json"), JSON.stringify(options.index?.(entry) ?? { schemaVersion: 2, manifests: [entry] }));
  return path;
}

/** What `docker save` of older versions writes. */
export async function savedImage(layers: readonly Buffer[], config: object): Promise<Buffer> {
  const members = layers.map((layer, i): Member => ({ name: `${i}/layer.tar`, content: layer, mode: 0o644 }));
  const manifest = [{ Config: "config.json", RepoTags: null, Layers: members.map(({ name }) => name) }];
  return await tar([...members, file("config.json", JSON.stringify({ config })), file("manifest.json", JSON.stringify(manifest))]);
}
