/** `--rootfs`: a directory, a tar archive, an OCI layout (a directory, or a tar of one), or what `docker save` writes. */
import { chmodSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import * as fcntl from "../../../linux/abi/fcntl.ts";
import { open } from "../../../linux/file.ts";
import type { Fd } from "../../../linux/fd.ts";
import { contentOf, openImage, type Image, type ImageConfig } from "./image.ts";
import { Tree, type Ownership } from "./tree.ts";
import { unpack, type UnpackOptions } from "./unpack.ts";

export interface Rootfs {
  /** Of the root directory. */
  readonly path: string;
  /** Whether it has been unpacked, with the ids that `ownerOnDisk` chose; else it is the user's own directory. */
  readonly unpacked: boolean;
  readonly config: ImageConfig | undefined;
}

export interface OpenOptions extends Omit<UnpackOptions, "whiteouts"> {
  /** Makes a directory that is removed with the sandbox. */
  readonly workDirectory: () => string;
  readonly ownerOnDisk: (member: Ownership) => Ownership | undefined;
}

/** @throws ArchiveError, SysError, Error naming the option. */
export async function openRootfs(path: string, options: OpenOptions): Promise<Rootfs> {
  const source = resolve(path);
  if (statSync(source).isDirectory()) {
    using directory = open(source, fcntl.O_RDONLY | fcntl.O_DIRECTORY);
    const image = openImage(directory);
    return image === undefined ? { path: source, unpacked: false, config: undefined } : await unpackImage(image, options);
  }
  const content = makeDirectory(options, "archive");
  using directory = open(content, fcntl.O_RDONLY | fcntl.O_DIRECTORY);
  await unpackInto(directory, contentOf(open(source, fcntl.O_RDONLY)), false, options);
  const image = openImage(directory);
  return image === undefined ? { path: content, unpacked: true, config: undefined } : await unpackImage(image, options);
}

function resolve(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw new Error(`--rootfs ${path}: ${(error as NodeJS.ErrnoException).code ?? "cannot be resolved"}`, { cause: error });
  }
}

async function unpackImage({ layers, config }: Image, options: OpenOptions): Promise<Rootfs> {
  const path = makeDirectory(options, "rootfs");
  using directory = open(path, fcntl.O_RDONLY | fcntl.O_DIRECTORY);
  for (const layer of layers) await unpackInto(directory, layer(), true, options);
  return { path, unpacked: true, config };
}

function makeDirectory({ workDirectory }: OpenOptions, name: string): string {
  const path = join(workDirectory(), name);
  mkdirSync(path);
  // Of the root of the file system; an archive may have another.
  chmodSync(path, 0o755);
  return path;
}

async function unpackInto(directory: Fd, content: ReturnType<typeof contentOf>, whiteouts: boolean, options: OpenOptions): Promise<void> {
  const tree = new Tree(directory, options.ownerOnDisk);
  tree.makeDirectory([], statSync(directory.procPath).mode, { uid: 0, gid: 0 });
  await unpack(content, tree, { ...options, whiteouts });
}
