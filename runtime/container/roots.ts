/** State directories of this machine's containers, whichever engine has had them made. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/schema.ts";
import { Container } from "./store.ts";

/**
 * Where engines have their runtimes keep state; below those that end in a slash there is one directory for each of an engine's namespaces or users.
 * Sources: containerd, runtime/v2/runc; docker, daemon/runtime_unix.go; our own shim and drop-ins.
 */
const PLACES = ["/run/tssandbox", "/run/containerd/tssandbox/", "/run/containerd/runc/", "/run/docker/runtime-runc/", "/run/tssandbox-crio", "/run/user/"];

export interface Located {
  readonly root: string;
  readonly container: Container;
}

/** @param extra further roots, looked into even where another place has them. @returns each container once, other runtimes' left out. */
export function allContainers(config: Config, extra: readonly string[], warn: (message: string) => void): Located[] {
  const configured = config.root === undefined ? [] : [config.root, `${config.root}/`];
  const roots = [...new Set([...extra, ...configured, ...PLACES].flatMap(rootsIn))];
  return roots.flatMap((root) => Container.list(root, warn).flatMap((container) => (isOurs(container) ? [{ root, container }] : [])));
}

/** runc's state.json has no mode. */
const isOurs = ({ record }: Container): boolean => typeof record.mode === "string" && typeof record.pid === "number";

function rootsIn(place: string): string[] {
  if (!place.endsWith("/")) return [place];
  if (!existsSync(place)) return [];
  return readdirSync(place).map((name) => (place === "/run/user/" ? join(place, name, "tssandbox") : join(place, name)));
}
