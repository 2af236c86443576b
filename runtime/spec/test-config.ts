/** Test support: a small valid config.json and a way to change one place of it. */

type Json = Record<string, unknown>;

export const smallConfig = (): Json => ({
  ociVersion: "1.2.0",
  process: { user: { uid: 0, gid: 0 }, cwd: "/", args: ["true"] },
  root: { path: "rootfs" },
  mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
  linux: { namespaces: [{ type: "mount" }, { type: "pid" }] },
});

/** Changes are pairs of a dotted path and a value; undefined removes. Objects on the way are made. */
export function changed(changes: Readonly<Json>, base: Json = smallConfig()): Json {
  for (const [path, value] of Object.entries(changes)) put(base, path.split("."), value);
  return base;
}

function put(target: Json, [key, ...rest]: string[], value: unknown): void {
  if (key === undefined) return;
  if (rest.length > 0) put((target[key] ??= {}) as Json, rest, value);
  else if (value === undefined) delete target[key];
  else target[key] = value;
}

export const namespaces = (...types: string[]) => ["mount", ...types].map((type) => ({ type }));
