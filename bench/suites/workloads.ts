/** What real programs cost (bench/guest/*.sh) in a Debian on tmpfs, on its root file system and, for git and tar, on a shared volume; each in a container of its own. */
import { join } from "node:path";
import { likeAnEngine, makeBundle, withArgs } from "../bundle.ts";
import { installed } from "../installed.ts";
import { guestTask, type Suite } from "../suite.ts";
import { home } from "../work.ts";
import { debianRoot, fillTree, fillWorkloadsRoot } from "./workloads-root.ts";

const SECONDS = 300;
/** Pairs of group and directory. */
const PLACES = { git: ["root", "/root", "volume", "/volume"], tar: ["root", "/bench", "volume", "/volume"] } as const;
const WORKLOADS: Readonly<Record<string, readonly string[]>> = {
  compile: [], git: PLACES.git, tar: PLACES.tar, npm: [], pip: [], sqlite: [], python: [], node: [], redis: [], nginx: [], fio: [],
};
const QUICK = ["compile", "git", "python"];

export const workloads: Suite = {
  name: "workloads",
  about: "C build, git, tar, npm, pip, sqlite, python, node, redis, nginx, fio",
  warmUp: false,
  quickRounds: 1,
  prepare(options) {
    const debian = debianRoot();
    if (debian === undefined) {
      options.note(`workloads: they need a Debian in ${join(home, ".cache/debian")}, which a checkout builds with npm run bench:root`);
      return { tasks: [], [Symbol.dispose]: () => undefined };
    }
    const fio = installed("fio");
    if (fio === undefined && !options.quick) options.note("workloads: fio is not installed");
    const names = Object.keys(WORKLOADS).filter((name) => (options.quick ? QUICK.includes(name) : name !== "fio" || fio !== undefined));
    const bundle = makeBundle({ args: ["true"], fill: (rootfs) => fillWorkloadsRoot(rootfs, debian, fio), fillVolume: fillTree, edit: likeAnEngine });
    const taskOf = (name: string) => guestTask(name, () => withArgs(bundle, ["bash", `/bench/${name}.sh`, ...(WORKLOADS[name] ?? [])]), SECONDS, options);
    return { tasks: names.map(taskOf), [Symbol.dispose]: () => bundle[Symbol.dispose]() };
  },
};
