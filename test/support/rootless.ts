/** Containers of an ordinary user's. */
import { readFileSync, rmSync } from "node:fs";
import { succeed, type Container } from "./container.ts";
import type { Spec } from "./spec.ts";
import type { User } from "./user.ts";

/** Gives the container's directories to the user, and it what `spec --rootless` writes for him, but for the command and the terminal. */
export async function prepareRootless(c: Container, user: User, edit: (spec: Spec, c: Container) => void = () => {}): Promise<Container> {
  user.own(c.stateRoot);
  user.own(c.bundle.dir);
  rmSync(c.bundle.configPath);
  succeed("spec", await c.call("spec", [], { prefix: user.prefix, flags: ["--rootless", "--bundle", c.bundle.dir] }).result());
  const process = c.spec.process!;
  Object.assign(c.spec, JSON.parse(readFileSync(c.bundle.configPath, "utf8")));
  Object.assign(c.spec.process!, { terminal: false, args: process.args, env: process.env });
  edit(c.spec, c);
  c.bundle.write();
  return c;
}

/** One id of the user's and a range of subordinate ones. */
export function mapRange(spec: Spec, user: User): void {
  const map = (own: number, kind: "uid" | "gid") => [{ containerID: 0, hostID: own, size: 1 }, { containerID: 1, hostID: user.subordinate(kind), size: 65_535 }];
  spec.linux.uidMappings = map(user.uid, "uid");
  spec.linux.gidMappings = map(user.gid, "gid");
}
