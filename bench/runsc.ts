import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const cache = join(import.meta.dirname, "../.cache/bench");

/** Debian's suite that has a gVisor package which runs here. */
const SUITE = "trixie";

/** runsc from the PATH or from Debian's package, unpacked and not installed; undefined where neither is to be had. */
export function fetchRunsc(): string | undefined {
  const unpacked = join(cache, "root/usr/bin/runsc");
  if (existsSync(unpacked)) return unpacked;
  const mirror = spawnSync("apt-get", ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], { encoding: "utf8" }).stdout?.split("\n")[0];
  if (!mirror) return undefined;
  mkdirSync(join(cache, "lists/partial"), { recursive: true });
  writeFileSync(join(cache, "sources.list"), `deb ${mirror} ${SUITE} main\n`);
  const own = ["-o", `Dir::Etc::SourceList=${cache}/sources.list`, "-o", "Dir::Etc::SourceParts=/dev/null", "-o", `Dir::State::Lists=${cache}/lists`, "-o", `Dir::Cache=${cache}`];
  const apt = (...args: string[]) => spawnSync("apt-get", ["-q", ...own, ...args], { cwd: cache, stdio: "ignore" }).status === 0;
  if (!apt("update") || !apt("download", "runsc")) return undefined;
  const deb = readdirSync(cache).find((name) => name.startsWith("runsc_") && name.endsWith(".deb"));
  if (deb === undefined || spawnSync("dpkg", ["-x", join(cache, deb), join(cache, "root")]).status !== 0) return undefined;
  return existsSync(unpacked) ? unpacked : undefined;
}
