/** What single calls cost (bench/guest/calls.c), and those on files on the root file system and on a shared volume. */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { likeAnEngine, makeBundle } from "../bundle.ts";
import { guestTask, type Suite } from "../suite.ts";
import { compile } from "../work.ts";

const SECONDS = 120;

export const syscalls: Suite = {
  name: "syscalls",
  about: "nanoseconds of single calls",
  prepare(options) {
    // Of each of the five tries of each measurement.
    const milliseconds = options.quick ? 1 : 5;
    const bundle = makeBundle({
      args: ["/calls", String(milliseconds), "/root", "/volume"],
      fill(rootfs) {
        copyFileSync(compile("bench/guest/calls.c"), join(rootfs, "calls"));
        fillDirectory(join(rootfs, "root"));
      },
      fillVolume: fillDirectory,
      edit: likeAnEngine,
    });
    return { tasks: [guestTask("calls", () => bundle, SECONDS, options)], [Symbol.dispose]: () => bundle[Symbol.dispose]() };
  },
};

/** As calls.c expects them. */
function fillDirectory(directory: string): void {
  for (const [name, count] of [["many", 200], ["fresh", 2000]] as const) {
    mkdirSync(join(directory, name), { recursive: true });
    for (let i = 0; i < count; i++) writeFileSync(join(directory, name, String(i)), "");
  }
  writeFileSync(join(directory, "file"), Buffer.alloc(1 << 20));
}
