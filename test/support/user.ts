import { execFileSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages } from "../packages.ts";
import { uniqueId, workDir } from "./paths.ts";

/** An ordinary user, made for a test: an account and a directory as $XDG_RUNTIME_DIR. Gone when disposed of. */
export class User implements Disposable {
  readonly name = uniqueId();
  readonly uid: number;
  readonly gid: number;
  readonly runtimeDir: string;

  private constructor(subordinate: boolean) {
    execFileSync("useradd", ["--no-create-home", "--shell", "/usr/sbin/nologin", this.name]);
    const [uid = 0, gid = 0] = execFileSync("getent", ["passwd", this.name], { encoding: "utf8" }).split(":").slice(2, 4).map(Number);
    [this.uid, this.gid] = [uid, gid];
    this.runtimeDir = join(workDir, this.name);
    mkdirSync(this.runtimeDir, { mode: 0o700 });
    this.own(this.runtimeDir);
    if (!subordinate) execFileSync("usermod", ["--del-subuids", this.#range("uid"), "--del-subgids", this.#range("gid"), this.name]);
  }

  #range(kind: "uid" | "gid"): string {
    return `${this.subordinate(kind)}-${this.subordinate(kind) + 65_535}`;
  }

  /** @param subordinate whether he has a range of subordinate ids. */
  static async add(subordinate = true): Promise<User> {
    await ensurePackages(["uidmap", "passwd"]);
    return new User(subordinate);
  }

  own(path: string): void {
    chownSync(path, this.uid, this.gid);
  }

  /** The first subordinate id. */
  subordinate(kind: "uid" | "gid"): number {
    const line = readFileSync(`/etc/sub${kind}`, "utf8").split("\n").find((entry) => entry.startsWith(`${this.name}:`));
    if (line === undefined) throw new Error(`useradd has given ${this.name} no subordinate ids`);
    return Number(line.split(":")[1]);
  }

  /** A prefix that executes a command as this user, with the environment of a login. */
  get prefix(): readonly string[] {
    const ids = ["--reuid", String(this.uid), "--regid", String(this.gid), "--init-groups", "--inh-caps=-all"];
    return ["setpriv", ...ids, "env", `XDG_RUNTIME_DIR=${this.runtimeDir}`, `USER=${this.name}`, "HOME=/"];
  }

  /** The same where everybody may open /dev/fuse, as on most hosts. On one where not, in a mount namespace in which he may. */
  get fusePrefix(): readonly string[] {
    return [...withFuse(0o666), ...this.prefix];
  }

  [Symbol.dispose](): void {
    execFileSync("userdel", [this.name]);
  }
}

const FUSE = "/dev/fuse";

/** A prefix that executes a command where /dev/fuse has this mode. */
export function withFuse(mode: number): readonly string[] {
  const { rdev, mode: current } = statSync(FUSE);
  if ((current & 0o777) === mode) return [];
  const node = join(workDir, `fuse-${mode.toString(8)}`);
  if (!existsSync(node)) execFileSync("mknod", ["-m", mode.toString(8), node, "c", String(rdev >> 8), String(rdev & 0xff)]);
  return ["unshare", "--mount", "--propagation", "private", "sh", "-c", `mount --bind ${node} ${FUSE} && exec "$@"`, "sh"];
}
