/** Suites that are one guest program each: files (bench/guest/files.c), processes (processes.c), network (network.c). */
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { likeAnEngine, makeBundle } from "../bundle.ts";
import { guestTask, type Suite } from "../suite.ts";
import { compile } from "../work.ts";

const SECONDS = 120;

/** @param args of the program, for a quick run or not. */
function guestSuite(name: string, about: string, args: (quick: boolean) => readonly string[]): Suite {
  return {
    name,
    about,
    prepare(options) {
      const bundle = makeBundle({
        args: [`/${name}`, ...args(options.quick)],
        fill(rootfs) {
          copyFileSync(compile(`bench/guest/${name}.c`), join(rootfs, name));
          mkdirSync(join(rootfs, "root"));
        },
        fillVolume: () => undefined,
        edit: likeAnEngine,
      });
      return { tasks: [guestTask(name, () => bundle, SECONDS, options)], [Symbol.dispose]: () => bundle[Symbol.dispose]() };
    },
  };
}

export const files = guestSuite("files", "small files, tree walk, sequential and random I/O", (quick) => [...(quick ? ["500", "16"] : ["2000", "64"]), "/root", "/volume"]);
export const processes = guestSuite("processes", "programs, threads, forks, a pipeline", (quick) => [quick ? "100" : "400"]);
export const network = guestSuite("network", "TCP and HTTP on the loopback device", (quick) => [quick ? "0.2" : "1"]);
