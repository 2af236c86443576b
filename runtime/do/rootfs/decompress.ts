/** Compressed archives, told by their first bytes: names and media types may say anything. */
import { spawn } from "node:child_process";
import { PassThrough, pipeline, type Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { ArchiveError } from "./tree.ts";

const FORMATS = [
  { name: "gzip", magic: "1f8b" },
  { name: "zstd", magic: "28b52ffd" },
  { name: "xz", magic: "fd377a585a00" },
] as const;

export type Compression = (typeof FORMATS)[number]["name"] | "none";

/** @param start the first 6 bytes or more. */
export function compressionOf(start: Uint8Array): Compression {
  const hex = Buffer.from(start).toString("hex");
  return FORMATS.find(({ magic }) => hex.startsWith(magic))?.name ?? "none";
}

/** The plain content. An error of the source or of the format is an error of the result. */
export function decompress(source: Readable, compression: Compression): Readable {
  switch (compression) {
    case "none":
      return source;
    case "gzip":
      return through(source, createGunzip());
    case "zstd":
      return through(source, createZstdDecompress());
    case "xz":
      return throughXz(source);
  }
}

function through(source: Readable, transform: ReturnType<typeof createGunzip> | ReturnType<typeof createZstdDecompress>): Readable {
  return pipeline(source, transform, (error) => void (error && transform.destroy(error)));
}

/** Node has no xz: the program of that name does it. Its output is complete only if it ended well. */
function throughXz(source: Readable): Readable {
  const child = spawn("xz", ["-dc"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<Error | null>((resolve) => {
    child.on("error", (error) => resolve(new ArchiveError(`xz: ${error.message}; unpacking .xz needs it (package xz-utils)`)));
    child.on("close", (code) => resolve(code === 0 ? null : new ArchiveError(`xz ended with ${code}`)));
  });
  const output = new PassThrough({ flush: (done) => void ended.then(done) });
  source.on("error", (error) => output.destroy(error));
  child.stdin.on("error", () => source.destroy());
  source.pipe(child.stdin);
  return child.stdout.pipe(output);
}
