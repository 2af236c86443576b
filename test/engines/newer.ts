import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { debianMirror } from "./images.ts";
import { CACHE } from "./support.ts";

const run = promisify(execFile);

/** The first of Debian's suites with containerd 2. Its binaries ask for no newer C library than bookworm has. */
const SUITE = "forky";

/** Unpacks containerd 2 beside the one that is installed, once. @returns the directory of its programs. @throws Error where it cannot be had. */
export async function fetchContainerd2(): Promise<string> {
  const root = join(CACHE, `containerd-${SUITE}`);
  if (!existsSync(root)) await unpack("containerd", root);
  return join(root, "usr/bin");
}

async function unpack(name: string, root: string): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  const scratch = mkdtempSync(join(CACHE, "build-"));
  try {
    for (const directory of ["lists/partial", "archives/partial", "root"]) mkdirSync(join(scratch, directory), { recursive: true });
    writeFileSync(join(scratch, "sources.list"), `deb ${await debianMirror()} ${SUITE} main\n`);
    const own = [`Dir::Etc::SourceList=${scratch}/sources.list`, "Dir::Etc::SourceParts=/dev/null", `Dir::State::Lists=${scratch}/lists`, `Dir::Cache=${scratch}`, "APT::Sandbox::User=root"];
    const options = own.flatMap((option) => ["-o", option]);
    await run("apt-get", ["-q", ...options, "update"], { cwd: scratch });
    await run("apt-get", ["-q", ...options, "download", name], { cwd: scratch });
    const archive = readdirSync(scratch).find((file) => file.endsWith(".deb"));
    if (archive === undefined) throw new Error(`no package ${name} in ${SUITE}`);
    await run("dpkg", ["-x", join(scratch, archive), join(scratch, "root")]);
    // Another test file may have been faster: its root is as good.
    if (!existsSync(root)) renameSync(join(scratch, "root"), root);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
