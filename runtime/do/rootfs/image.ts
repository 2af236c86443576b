/** Images on disk: OCI layouts and what `docker save` writes. Sources: OCI image-spec image-layout.md, image-index.md, manifest.md, config.md. */
import { createHash } from "node:crypto";
import { createReadStream, readSync } from "node:fs";
import process from "node:process";
import type { Readable } from "node:stream";
import * as v from "valibot";
import * as fcntl from "../../../linux/abi/fcntl.ts";
import { Fd } from "../../../linux/fd.ts";
import { openAt, readAll, readAt, statAt, tryOpenAt } from "../../../linux/file.ts";
import { compressionOf, decompress } from "./decompress.ts";
import { ArchiveError } from "./tree.ts";

export interface ImageConfig {
  readonly env: readonly string[];
  readonly workingDirectory: string | undefined;
  readonly user: string | undefined;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
}

export interface Image {
  readonly config: ImageConfig;
  /** The lowest first; each opens its content, not compressed. @throws ArchiveError where the digest is not the one that the image names. */
  readonly layers: readonly (() => Readable)[];
}

const Descriptor = v.object({
  mediaType: v.optional(v.string()),
  digest: v.string(),
  platform: v.optional(v.object({ os: v.string(), architecture: v.string(), variant: v.optional(v.string()) })),
});
type Descriptor = v.InferOutput<typeof Descriptor>;

const Index = v.object({ manifests: v.array(Descriptor) });
const Manifest = v.object({ config: Descriptor, layers: v.array(Descriptor) });
const SavedImages = v.array(v.object({ Config: v.string(), Layers: v.array(v.string()) }));

const texts = v.nullish(v.array(v.string()), []);
const Config = v.object({
  config: v.nullish(v.object({ Env: texts, WorkingDir: v.nullish(v.string()), User: v.nullish(v.string()), Entrypoint: texts, Cmd: texts })),
});

/** @param directory opened for reading. @returns undefined where there is no image in it. @throws ArchiveError, SysError */
export function openImage(directory: Fd): Image | undefined {
  if (isThere(directory, "oci-layout") && isThere(directory, "index.json")) return openLayout(directory);
  if (isThere(directory, "manifest.json")) return openSaved(directory);
  return undefined;
}

function openLayout(directory: Fd): Image {
  const manifest = parse(Manifest, readBlob(directory, chooseManifest(directory, parse(Index, readText(directory, "index.json"), "index.json"), 0)), "manifest");
  return {
    config: parseConfig(readBlob(directory, manifest.config.digest)),
    layers: manifest.layers.map(({ digest }) => () => openBlob(directory, digest)),
  };
}

const INDEX_TYPES = new Set(["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"]);
const MAX_NESTING = 3;
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** @returns the digest of the one manifest for this machine. */
function chooseManifest(directory: Fd, { manifests }: v.InferOutput<typeof Index>, depth: number): string {
  const architecture = ARCHITECTURES[process.arch] ?? process.arch;
  const fitting = manifests.filter(({ platform }) => platform === undefined || (platform.os === "linux" && platform.architecture === architecture));
  const [first, second] = fitting;
  if (first === undefined) throw new ArchiveError(`the image is not for linux/${architecture}: ${platforms(manifests)}`);
  if (second !== undefined) throw new ArchiveError(`the layout holds ${fitting.length} images for linux/${architecture}; it must be one`);
  if (!INDEX_TYPES.has(first.mediaType ?? "")) return first.digest;
  if (depth === MAX_NESTING) throw new ArchiveError("indexes are nested too deeply");
  return chooseManifest(directory, parse(Index, readBlob(directory, first.digest), "index"), depth + 1);
}

const platforms = (manifests: readonly Descriptor[]) => manifests.map(({ platform }) => `${platform?.os}/${platform?.architecture}`).join(", ") || "it is empty";

/** `docker save` of older versions, whose files have no digests to check. */
function openSaved(directory: Fd): Image {
  const [image, ...others] = parse(SavedImages, readText(directory, "manifest.json"), "manifest.json");
  if (image === undefined || others.length > 0) throw new ArchiveError(`manifest.json names ${others.length + (image === undefined ? 0 : 1)} images; it must be one`);
  return { config: parseConfig(readText(directory, image.Config)), layers: image.Layers.map((path) => () => contentOf(openFile(directory, path))) };
}

function parseConfig(text: string): ImageConfig {
  const config = parse(Config, text, "image configuration").config;
  return {
    env: config?.Env ?? [],
    workingDirectory: config?.WorkingDir || undefined,
    user: config?.User || undefined,
    entrypoint: config?.Entrypoint ?? [],
    command: config?.Cmd ?? [],
  };
}

function parse<S extends v.GenericSchema>(schema: S, text: string, what: string): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ArchiveError(`${what}: it is not JSON`);
  }
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  throw new ArchiveError(`${what}: ${v.getDotPath(result.issues[0]) ?? ""}: ${result.issues[0].message}`);
}

const MAX_DOCUMENT = 4 << 20;

function readText(directory: Fd, path: string): string {
  using file = openFile(directory, path);
  const bytes = readAll(file, MAX_DOCUMENT + 1);
  if (bytes.length > MAX_DOCUMENT) throw new ArchiveError(`${path} is larger than ${MAX_DOCUMENT} bytes`);
  return Buffer.from(bytes).toString();
}

function readBlob(directory: Fd, digest: string): string {
  const text = readText(directory, blobPath(digest));
  requireDigest(createHash("sha256").update(text).digest("hex"), digest);
  return text;
}

function openBlob(directory: Fd, digest: string): Readable {
  const file = openFile(directory, blobPath(digest));
  verify(file, digest);
  return contentOf(file);
}

/** @throws ArchiveError for anything but sha256, which every registry uses. */
function blobPath(digest: string): string {
  const match = /^sha256:([0-9a-f]{64})$/.exec(digest);
  if (match === null) throw new ArchiveError(`${JSON.stringify(digest)} is not a sha256 digest`);
  return `blobs/sha256/${match[1]}`;
}

function requireDigest(actual: string, digest: string): void {
  if (`sha256:${actual}` !== digest) throw new ArchiveError(`the content of ${digest} has another digest (${actual})`);
}

/** A file's content, decompressed. Owns the descriptor. */
export function contentOf(file: Fd): Readable {
  const compression = compressionOf(readAt(file, 0, 8));
  return decompress(createReadStream("", { fd: file.release(), start: 0, highWaterMark: CHUNK }), compression);
}

const CHUNK = 1 << 20;

/** Before anything is made of it: a parser or decompressor may stop short of the end. */
function verify(file: Fd, digest: string): void {
  const hash = createHash("sha256");
  const chunk = new Uint8Array(CHUNK);
  for (let at = 0, count = 1; count > 0; at += count) {
    count = readSync(file.number, chunk, 0, chunk.length, at);
    hash.update(chunk.subarray(0, count));
  }
  requireDigest(hash.digest("hex"), digest);
}

/** Links inside of the layout are followed beneath it. */
function openFile(directory: Fd, path: string): Fd {
  const fd = openAt(directory, path, fcntl.O_RDONLY | fcntl.O_NONBLOCK, { resolve: fcntl.RESOLVE_BENEATH });
  if ((statAt(fd).mode & fcntl.S_IFMT) === fcntl.S_IFREG) return fd;
  fd.close();
  throw new ArchiveError(`${path} is not a file`);
}

function isThere(directory: Fd, path: string): boolean {
  const result = tryOpenAt(directory, path, fcntl.O_PATH, { resolve: fcntl.RESOLVE_BENEATH });
  if (result < 0) return false;
  new Fd(result).close();
  return true;
}
