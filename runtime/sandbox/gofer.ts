/** The gofer's process. */
import { check } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { tryClone } from "../../linux/fork.unsafe.ts";
import type { NodeResources } from "../../linux/inherited.unsafe.ts";
import type { Export } from "../../gofer/export.ts";
import { runGofer } from "../../gofer/main.ts";
import type { Served } from "../../gofer/serve.ts";
import type { Uts } from "../../sentry/kernel.ts";
import type { Machine } from "../../sentry/machine.ts";
import type { GuestFiles } from "./files.ts";
import type { Observation } from "./observation.ts";
import { systemFiles } from "./system.ts";

export interface GoferRequest {
  readonly files: GuestFiles;
  /** /dev/fuse, one for each of `files.fileSystems`, in their order. */
  readonly devices: readonly Fd[];
  readonly machine: Machine;
  readonly uts: Uts;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly inherited: NodeResources;
  readonly observation: Observation;
}

/** Preconditions: children are born in the sandbox's pid namespace. @returns its pid. */
export function startGofer(request: GoferRequest): number {
  const { machine, uts, inherited, observation } = request;
  const exports = exportsOf(request);
  const pid = tryClone({ namespaces: 0, cgroup: undefined }, () => {
    const system: Served = { fuse: deviceOf(request, "system"), fileSystem: systemFiles(machine, uts, request.sysctls) };
    const { log } = observation;
    const code = runGofer(exports, {
      more: [system],
      keep: [...machine.descriptors, ...log.descriptors],
      log: log.file,
      resources: inherited,
      report: (message) => log.error(`gofer: ${message}`),
      ...observation.forGofer([...request.files.loans.keys(), "system"]),
    });
    if (code === 0) observation.goferDone();
    return code;
  });
  return check(pid, "clone3");
}

function exportsOf(request: GoferRequest): Export[] {
  return [...request.files.loans].map(([name, loan]) => ({ ...loan, fuse: deviceOf(request, name) }));
}

function deviceOf({ files, devices }: GoferRequest, name: string): Fd {
  const device = devices[files.fileSystems.indexOf(name)];
  if (device === undefined) throw new Error(`no FUSE device for ${name}`);
  return device;
}
