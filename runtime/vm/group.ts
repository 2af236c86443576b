/**
 * Several containers in one machine. The first one's machine is the group's: the others find it by the first one's id, in its state directory, and it
 * ends with the first one. Who may join is decided as for any sandbox (sandbox/group.ts).
 */
import { dirname } from "node:path";
import { statusOf } from "../container/status.ts";
import { Container, ContainerError, type ContainerRecord } from "../container/store.ts";
import { saysItIsFirst, type Named } from "../sandbox/group.ts";
import { validateId } from "../spec/id.ts";

/** What a restored container is called in its guest: as the one that was saved. */
export const GUEST_ID = "dev.tssandbox.vm.guest-id";

/** @throws ConfigError for an id that is none */
export function guestIdOf({ id, annotations }: Pick<ContainerRecord, "id" | "annotations">): string {
  const guestId = annotations[GUEST_ID] ?? id;
  validateId(guestId);
  return guestId;
}

/** Whether a machine has places for others. */
export const isOpen = ({ annotations, id }: Pick<ContainerRecord, "id" | "annotations">): boolean => saysItIsFirst(annotations, id);

/** Whether nobody else is in its machine, or can come. */
export const isAlone = ({ record }: Container): boolean => record.sandbox === undefined && !isOpen(record);

/** The state directory with the machine's sockets. */
export const machineDirectory = ({ directory, record: { sandbox } }: Container): string => (sandbox === undefined ? directory : Container.directoryOf(dirname(directory), sandbox));

/** @returns the first container of the machine to join, if there is one. @throws ContainerError where it cannot be joined */
export function machineOf(named: Named | undefined): Container | undefined {
  if (named?.first.record.mode !== "vm") return undefined;
  const { first, annotation } = named;
  const { id } = first.record;
  if (!isOpen(first.record)) throw new ContainerError(`${annotation}: ${id} has a machine for itself alone: it says nothing of others in its own annotations`);
  const status = statusOf(first);
  if (status !== "running" && status !== "created") throw new ContainerError(`${annotation}: cannot join the machine of a ${status} container: ${id}`);
  return first;
}
