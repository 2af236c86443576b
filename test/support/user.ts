import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages } from "../packages.ts";
import { uniqueId, workDir } from "./paths.ts";

/** An ordinary user, made for a test: an account with subordinate ids and a directory as $XDG_RUNTIME_DIR. Gone when disposed of. */
export class User implements Disposable {
  readonly name = uniqueId();
  readonly uid: number;
  readonly gid: number;
  readonly runtimeDir: string;

  private constructor() {
    execFileSync("useradd", ["--no-create-home", "--shell", "/usr/sbin/nologin", this.name]);
    const [uid = 0, gid = 0] = execFileSync("getent", ["passwd", this.name], { encoding: "utf8" }).split(":").slice(2, 4).map(Number);
    [this.uid, this.gid] = [uid, gid];
    this.runtimeDir = join(workDir, this.name);
    mkdirSync(this.runtimeDir, { mode: 0o700 });
    this.own(this.runtimeDir);
  }

  static async add(): Promise<User> {
    await ensurePackages(["uidmap", "passwd"]);
    return new User();
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

  [Symbol.dispose](): void {
    execFileSync("userdel", [this.name]);
  }
}
