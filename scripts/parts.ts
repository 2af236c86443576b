/**
 * A program in several files, of which all but the first are loaded at first use, so that a start pays for nothing that it does not run.
 *
 * Each module is in one part only: in `main` where that needs it, else, where several parts do, in `shared`; there they take it by name. The entries
 * of the other parts stand for themselves, behind a proxy that loads their part when one of their exports is asked for. An entry must therefore not be
 * used while its importer is being set up.
 */
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { build, type BuildOptions, type Plugin } from "esbuild";

export interface Part {
  readonly name: string;
  /** Modules that others import, relative to the root, as are all paths here. */
  readonly entries: readonly string[];
}

/** What several parts need and `main` does not, and what a sandbox leaves behind for later commands to read. */
const SHARED: Part = { name: "shared", entries: ["calls", "end", "failure", "log", "record", "stall"].map((name) => `runtime/sandbox/${name}.ts`) };

/** What is not needed to create, start, run, exec, kill and delete a container in namespace mode. */
export const PARTS: readonly Part[] = [
  { name: "seccomp", entries: ["policies/seccomp-bpf-ts/src/index.ts", "runtime/spec/check-seccomp.ts"] },
  {
    name: "sandbox",
    entries: [
      "runtime/sandbox/sandbox.ts", "runtime/sandbox/trap.ts", "runtime/sandbox/files.ts", "gofer/main.ts", "sentry/jail.ts", "sentry/debug-names.ts", "runtime/sandbox/ids.ts",
      "runtime/sandbox/guest.ts", "runtime/sandbox/within.ts", "runtime/sandbox/memory-mounts.ts", "runtime/sandbox/platform.ts", "runtime/init/guest-files.ts",
      "runtime/init/guest-system.ts", "linux/seccomp-notify.ts",
    ],
  },
  { name: "strict", entries: ["sentry/strict/sentry.ts"] },
  { name: "network", entries: ["runtime/network/egress.ts", "runtime/network/ruleset.ts", "linux/netlink/nftables.ts", "linux/netlink/netfilter-socket.ts", "linux/netlink/device.ts"] },
  { name: "policies", entries: ["policies/syscalls/policy.ts", "policies/syscalls/describe.ts", "policies/syscalls/filter.ts"] },
  // Who tells of calls on platform ptrace is its tracer.
  { name: "strace", entries: ["runtime/sandbox/strace.ts", "sentry/platform/ptrace/ptrace.ts"] },
  { name: "usage", entries: ["runtime/full-cli.ts", "runtime/commander.ts", "runtime/spec/schema-error.ts"] },
  { name: "exec", entries: ["runtime/commands/exec.ts", "runtime/container/exec.ts"] },
  { name: "bench", entries: ["bench/command.ts"] },
  { name: "vm", entries: ["runtime/commands/vm.ts", "runtime/vm/create.ts", "runtime/vm/exec.ts", "runtime/vm/control.ts", "runtime/vm/ask.ts", "runtime/vm/pause.ts"] },
  { name: "do", entries: ["runtime/commands/do.ts", "policies/profiles/namespace-default.ts"] },
  { name: "tracing", entries: ["runtime/tracing/tracing.ts", "runtime/tracing/about.ts"] },
  { name: "metrics", entries: ["runtime/commands/metrics/command.ts"] },
  { name: "manual", entries: ["runtime/commands/manual/completion.ts", "runtime/commands/manual/man.ts"] },
  { name: "install", entries: ["runtime/commands/install/command.ts"] },
  { name: "systemd", entries: ["runtime/cgroups/systemd/cgroup.ts", "runtime/cgroups/systemd/bus.ts", "runtime/cgroups/systemd/slices.ts"] },
  {
    name: "commands",
    entries: [...["list", "ps", "pause", "update", "events", "spec", "features", "syscalls", "debug"].map((name) => `runtime/commands/${name}.ts`), "runtime/sandbox/inspect.ts", "runtime/spec/template.ts", "runtime/cgroups/stats.ts", "runtime/cgroups/oom.ts", "runtime/container/intel-rdt.ts"],
  },
];

/** Where each module is, and what others take from a part. */
interface Layout {
  readonly owners: Map<string, string>;
  readonly taken: Map<string, Set<string>>;
}

/**
 * Bundles `entry` as the part `main`, and the others.
 * @param options esbuild's, the same for all. @returns the text of each part by name, to be run as a CommonJS module whose `require` knows `part:NAME`.
 */
export async function buildParts(root: string, entry: string, parts: readonly Part[], options: BuildOptions): Promise<Map<string, string>> {
  const all: Part[] = [{ name: "main", entries: [relative(root, entry)] }, ...(parts.length > 0 ? [SHARED] : []), ...parts];
  const layout: Layout = { owners: new Map(), taken: new Map(all.map(({ name }) => [name, new Set()])) };
  // Which module is where, and what is taken from whom, is known when no pass changes it any more.
  for (let before = ""; before !== describe(layout); ) {
    before = describe(layout);
    for (const part of all) claimModules(part, await bundlePart(root, part, all, layout, options), layout);
  }
  const texts = new Map<string, string>();
  for (const part of all) texts.set(part.name, (await bundlePart(root, part, all, layout, options)).outputFiles[0]?.text ?? "");
  return texts;
}

/** What `main` needs is there, whoever had it before. */
function claimModules({ name }: Part, { metafile }: Bundled, { owners }: Layout): void {
  for (const path of Object.keys(metafile.inputs)) {
    if (path.includes(":") || path.startsWith("<") || isShakeable(path)) continue;
    owners.set(path, name === "main" ? name : (owners.get(path) ?? name));
  }
}

const describe = ({ owners, taken }: Layout) => JSON.stringify([[...owners], [...taken].map(([name, paths]) => [name, ...paths])]);

type Bundled = Awaited<ReturnType<typeof bundlePart>>;

async function bundlePart(root: string, part: Part, all: readonly Part[], layout: Layout, options: BuildOptions) {
  return await build({
    ...options,
    stdin: { contents: partSource(part, layout), resolveDir: root, sourcefile: `<${part.name}>` },
    absWorkingDir: root,
    bundle: true,
    write: false,
    metafile: true,
    outfile: `${part.name}.cjs`,
    plugins: [crossParts(root, part, all, layout), ...(options.plugins ?? [])],
  });
}

/** Runs the entries, and offers what others take: as plain objects, made when they are asked for. */
function partSource({ name, entries }: Part, { taken }: Layout): string {
  const offered = [...new Set([...(name === "main" ? [] : entries), ...(taken.get(name) ?? [])])];
  const imports = offered.map((path, i) => `import * as m${i} from "./${path}";`);
  const table = offered.map((path, i) => `${JSON.stringify(path)}: () => ({ ...m${i} })`);
  return [...imports, ...(name === "main" ? entries.map((path) => `import "./${path}";`) : []), `module.exports = { ${table.join(", ")} };`].join("\n");
}

function crossParts(root: string, part: Part, all: readonly Part[], { owners, taken }: Layout): Plugin {
  const entryOf = new Map(all.flatMap(({ name, entries }) => entries.map((path) => [path, name] as const)));
  return {
    name: "parts",
    setup(build) {
      build.onResolve({ filter: /^part:/ }, ({ path }) => ({ path, external: true }));
      build.onResolve({ filter: /^(\.|[a-z])/ }, async ({ path, pluginData, ...rest }) => {
        if (pluginData === "resolving" || /^(node|part):/.test(path)) return undefined;
        const resolved = await build.resolve(path, { ...rest, pluginData: "resolving" });
        const file = relative(root, resolved.path);
        const [lazy, owner] = [entryOf.get(file), owners.get(file)];
        if (lazy !== undefined && lazy !== part.name) return { path: file, namespace: "lazy-part", pluginData: lazy };
        if (owner === undefined || owner === part.name || isShakeable(file)) return undefined;
        // No part is loaded for something that it shares with another one.
        const from = owner === "main" ? owner : SHARED.name;
        owners.set(file, from);
        taken.get(from)?.add(file);
        return { path: file, namespace: "taken", pluginData: from };
      });
      build.onLoad({ filter: /.*/, namespace: "lazy-part" }, ({ path, pluginData }) => ({
        contents: `let m; module.exports = Object.create(new Proxy({}, { get: (_, key) => (m ??= require("part:${pluginData}")[${JSON.stringify(path)}]())[key] }));`,
      }));
      build.onLoad({ filter: /.*/, namespace: "taken" }, async ({ path, pluginData }) => {
        const from = `require("part:${pluginData}")[${JSON.stringify(path)}]()`;
        if (!path.endsWith(".ts")) return { contents: `module.exports = ${from};` };
        // As constants they are as fast to use as the part's own.
        const constants = (await exportsOf(join(root, path))).map((name, i) => `const c${i} = m.${name}; export { c${i} as ${name} };`);
        return { contents: `const m = ${from}; ${constants.join(" ")}`, resolveDir: root };
      });
    },
  };
}

/** Packages of ECMAScript modules are bundled by what is used of them, in each part anew. */
const isShakeable = (file: string) => file.startsWith("node_modules/") && file.endsWith(".mjs");

const exportNames = new Map<string, readonly string[]>();

async function exportsOf(path: string): Promise<readonly string[]> {
  const known = exportNames.get(path);
  if (known !== undefined) return known;
  const { metafile } = await build({ stdin: { contents: readFileSync(path, "utf8"), loader: "ts" }, format: "esm", write: false, metafile: true, outfile: "x.js" });
  const names = Object.values(metafile.outputs)[0]?.exports ?? [];
  exportNames.set(path, names);
  return names;
}
