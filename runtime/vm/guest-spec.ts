/** What a container's configuration becomes when it runs in a machine of its own: what is left to the guest's kernel, with the paths that hold there. */
import type { Mount, Spec } from "../spec/config.ts";
import { isBind, parseMountOptions } from "../spec/mount-parse.ts";
import { ConfigError } from "../spec/report.ts";
import { guestResources } from "./host-resources.ts";

/** Where the guest has what the host lends a container: one directory, in which each loan has a name. */
export const shareOf = (id: string): string => `/share/${id}`;
export const ROOT_LOAN = "root";
export const VOLUMES_LOAN = "volumes";
export const volumeName = (index: number): string => `volume-${index}`;

/** The bind mounts of a configuration, by their index among the mounts. */
export function volumesOf({ mounts = [] }: Spec): (readonly [index: number, mount: Mount])[] {
  return [...mounts.entries()].filter(([, mount]) => isBind(parseMountOptions(mount.options)));
}

/**
 * The host's hooks run on the host, its labels and resctrl groups mean nothing in the guest, and a namespace that is joined by path is on the host:
 * that of the network is the guest's own, whatever it is connected with.
 * @param member whether others are in the machine before it: then what is joined by path is joined there (`joinedNamespaces`).
 * @throws ConfigError for what a machine cannot share with the host.
 */
export function guestSpec(spec: Spec, id: string, member: boolean): Spec {
  const { hooks: _hooks, annotations: _annotations, linux, process, ...rest } = spec;
  const { intelRdt: _rdt, netDevices: _devices, mountLabel: _label, cgroupsPath: _path, ...kept } = linux ?? {};
  const { apparmorProfile: _profile, selinuxLabel: _selinux, ...program } = process ?? { cwd: "/", user: { uid: 0, gid: 0 } };
  return {
    ...rest,
    process: program,
    root: { ...spec.root, path: `${shareOf(id)}/${ROOT_LOAN}` },
    mounts: (spec.mounts ?? []).map((mount, i) => (isBind(parseMountOptions(mount.options)) ? { ...mount, source: `${shareOf(id)}/${VOLUMES_LOAN}/${volumeName(i)}` } : mount)),
    linux: { ...kept, ...(kept.resources === undefined ? {} : { resources: guestResources(kept.resources) }), cgroupsPath: `/${id}`, namespaces: namespacesIn(kept.namespaces ?? [], member) },
  };
}

type Namespaces = NonNullable<NonNullable<Spec["linux"]>["namespaces"]>;

function namespacesIn(namespaces: Namespaces, member: boolean): Namespaces {
  return namespaces.flatMap((namespace, i) => {
    if (namespace.type === "network") return [];
    if (!namespace.path) return [namespace];
    const { type } = namespace;
    if (member && isShared(type)) return [];
    if (type === "ipc" || type === "uts") return [{ type }];
    throw new ConfigError("config.json", `linux.namespaces[${i}].path`, `a machine has ${namespace.type} namespaces of its own, and joins none of the host's`);
  });
}

/** The namespaces that containers of one pod may have in common. */
const SHARED = ["ipc", "uts", "pid"] as const;
export type SharedNamespace = (typeof SHARED)[number];

const isShared = (type: string): type is SharedNamespace => SHARED.some((shared) => shared === type);

/** Those that a container joins by path, which `guestSpec` leaves out of a member's. */
export function joinedNamespaces({ linux }: Spec): readonly { readonly type: SharedNamespace; readonly path: string }[] {
  return (linux?.namespaces ?? []).flatMap(({ type, path }) => (path && isShared(type) ? [{ type, path }] : []));
}
