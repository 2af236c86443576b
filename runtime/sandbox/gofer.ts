/** The gofers' processes. */
import type { UserIds } from "../../linux/credentials.ts";
import { check } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { tryClone } from "../../linux/fork.unsafe.ts";
import type { NodeResources } from "../../linux/inherited.unsafe.ts";
import type { Export } from "../../gofer/export.ts";
import { runGofer } from "../../gofer/main.ts";
import type { Served } from "../../gofer/serve.ts";
import { SyntheticFileSystem } from "../../gofer/synthetic.ts";
import type { Machine } from "../../sentry/machine.ts";
import type { GuestFiles } from "./files.ts";
import type { GoferGroup } from "./gofer-groups.ts";
import type { Observation } from "./observation.ts";
import type { SystemFiles } from "./system.ts";

export interface GoferRequest {
  readonly files: GuestFiles;
  /** /dev/fuse, one for each of `files.fileSystems`, in their order. */
  readonly devices: readonly Fd[];
  readonly machine: Machine;
  readonly system: SystemFiles;
  readonly inherited: NodeResources;
  readonly identity: UserIds;
  readonly observation: Observation;
}

/**
 * Starts the one that serves `group`, which keeps the descriptors of that alone. Preconditions: children are born in the sandbox's pid namespace.
 * @returns its pid. @param sibling see `bornIn`.
 */
export function startGofer(group: GoferGroup, request: GoferRequest, sibling: boolean): number {
  const { files: { loans }, machine, inherited, identity, observation } = request;
  const pid = tryClone({ namespaces: 0, sibling, cgroup: undefined }, () => {
    const lent = [...loans].filter(([name]) => group.includes(name));
    const exports = lent.map(([name, loan]): Export => ({ ...loan, fuse: deviceOf(request, name) }));
    const system = group.includes("system") ? [systemOf(request)] : [];
    const { log } = observation;
    const code = runGofer(exports, {
      more: system,
      keep: [...(system.length > 0 ? machine.descriptors : []), ...log.descriptors],
      log: log.file,
      resources: inherited,
      identity,
      report: (message) => log.error(`gofer: ${message}`),
      ...observation.forGofer([...lent.map(([name]) => name), ...(system.length > 0 ? ["system"] : [])]),
    });
    if (code === 0) observation.goferDone(group);
    return code;
  });
  return check(pid, "clone3");
}

function systemOf(request: GoferRequest): Served {
  return { fuse: deviceOf(request, "system"), fileSystem: new SyntheticFileSystem(request.system.root) };
}

function deviceOf({ files, devices }: GoferRequest, name: string): Fd {
  const device = devices[files.fileSystems.indexOf(name)];
  if (device === undefined) throw new Error(`no FUSE device for ${name}`);
  return device;
}
