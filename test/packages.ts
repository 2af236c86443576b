import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Longest that installing one set of packages may take, in seconds. */
const INSTALL_SECONDS = 300;

/**
 * Installs the Debian packages that are missing, without their recommendations and without starting a service.
 * Safe to call from several test files at once: one waits for the other. Costs about 20 ms when nothing is missing.
 *
 * @throws Error naming the missing packages, with apt's last lines: not root, not Debian, or apt could not install.
 */
export async function ensurePackages(names: readonly string[]): Promise<void> {
  const missing = await missingPackages(names);
  if (missing.length === 0) return;
  const wanted = missing.join(" ");
  if (process.getuid?.() !== 0) throw new Error(`packages missing: ${wanted} (only root may install them)`);
  const failure = await install(missing);
  if (failure !== undefined) throw new Error(`cannot install ${wanted}:\n${failure}`);
  const still = await missingPackages(missing);
  if (still.length > 0) throw new Error(`apt-get succeeded, yet not installed: ${still.join(" ")}`);
}

/** The packages among `names` that dpkg does not list as installed. */
export async function missingPackages(names: readonly string[]): Promise<string[]> {
  const installed = new Set(await installedAmong(names));
  return names.filter((name) => !installed.has(name));
}

async function installedAmong(names: readonly string[]): Promise<string[]> {
  const format = "${db:Status-Status} ${Package}\n";
  // dpkg-query exits 1 when it does not know one of the names, and still lists the others.
  const stdout = await run("dpkg-query", ["-W", "-f", format, ...names]).then(
    (done) => done.stdout,
    (failed: { stdout?: string; code?: unknown }) => {
      if (failed.code === "ENOENT") throw new Error("dpkg-query not found: this needs a Debian system");
      return failed.stdout ?? "";
    },
  );
  return stdout.split("\n").flatMap((line) => {
    const [status, name] = line.split(" ");
    return status === "installed" && name !== undefined ? [name] : [];
  });
}

// invoke-rc.d(8): a policy-rc.d that exits 101 forbids every action, so no daemon starts. It is put there only for
// the time of the install, under a lock, and one that the administrator keeps is left as it is.
// The first try fails at once where the lists are missing or old; only then are they fetched. A third-party
// source that cannot be reached must not matter, so the result of the update itself does not count.
const INSTALL_SCRIPT = `
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\\nexit 101\\n' >$policy && chmod 755 $policy
fi
install() { apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends -- "$@"; }
install "$@" && exit 0
apt-get -q -o DPkg::Lock::Timeout=120 update
install "$@"
`;

async function install(names: readonly string[]): Promise<string | undefined> {
  const script = ["sh", "-c", `exec 2>&1\n${INSTALL_SCRIPT}`, "install", ...names];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
  const options = { env, timeout: INSTALL_SECONDS * 1000, maxBuffer: 1 << 24 };
  return run("flock", ["/run/lock/tssandbox-packages", ...script], options).then(
    () => undefined,
    (failed: { stdout?: string; message: string }) => lastLines(failed.stdout || failed.message, 12),
  );
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split("\n").slice(-count).join("\n");
}
