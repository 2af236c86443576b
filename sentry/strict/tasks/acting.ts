/**
 * As whom the sentry asks the kernel: as the caller where a name is looked up or made, and as itself, with every right over its guest, where
 * it looks at the guest's tasks. Source: credentials(7), setfsuid(2).
 */
import { CAPABILITIES, capabilityMask } from "../../../linux/abi/capability.ts";
import { EPERM } from "../../../linux/abi/errno.ts";
import { setCapabilities, setFileSystemGroupId, setFileSystemUserId, setGroups } from "../../../linux/credentials.ts";
import { isErrno } from "../../../linux/errors.ts";
import type { Identity } from "./tasks.ts";

/** Opens other tasks' files in /proc. */
const TRACING = capabilityMask(["CAP_SYS_PTRACE"]);
/** To come back, and to read the caller's memory. None of them is asked for by a file system. */
const KEPT = TRACING | capabilityMask(["CAP_SETGID", "CAP_SETUID"]);
const ALL = capabilityMask(CAPABILITIES);

/** Who has no right over anything. */
export const NOBODY: Identity = { uid: 65_534, gid: 65_534, groups: [], capabilities: 0n };

const OURSELVES: Identity = { uid: 0, gid: 0, groups: [], capabilities: ALL };

/** What a process takes to act as this one does. */
export interface Powers {
  readonly identity: Identity;
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly takesGroups: boolean;
}

export class Acting {
  #powers: Powers = { identity: OURSELVES, effective: ALL, permitted: ALL, takesGroups: false };
  #current: Identity | undefined;
  #isTracing = true;
  /** Whether the kernel has been told of `#powers`. */
  #isKnown = false;

  /** Another object wherever something has changed. */
  get powers(): Powers {
    return this.#powers;
  }

  asSentry(): void {
    this.#become(OURSELVES, true);
  }

  asCaller(identity: Identity): void {
    this.#become(identity, true);
  }

  /** As the caller, without our own right over others' memory: for what lies in /proc. @returns whether that makes a difference. */
  asCallerAlone(identity: Identity): boolean {
    const mayTrace = (identity.capabilities & TRACING) !== 0n;
    this.#become(identity, mayTrace);
    return !mayTrace;
  }

  /** In another user namespace the same numbers are other ids. */
  hasEnteredNamespace(): void {
    this.#current = undefined;
    this.#isKnown = false;
  }

  #become(identity: Identity, tracing: boolean): void {
    if (this.#current === identity && this.#isTracing === tracing) return;
    const effective = tracing ? identity.capabilities | KEPT : (identity.capabilities | KEPT) & ~TRACING;
    const wanted: Powers = { identity, effective, permitted: ALL, takesGroups: identity !== OURSELVES };
    // Another task's are the same, mostly: of one user, whose programs call in turns.
    if (!this.#isKnown || !areEqual(this.#powers, wanted)) this.#take(wanted);
    this.#current = identity;
    this.#isTracing = tracing;
  }

  #take(powers: Powers): void {
    const { identity: { uid, gid, groups }, effective, permitted } = powers;
    setFileSystemUserId(uid);
    setFileSystemGroupId(gid);
    if (powers.takesGroups) takeGroups(groups);
    setCapabilities({ effective, permitted, inheritable: 0n });
    this.#powers = powers;
    this.#isKnown = true;
  }
}

const areSameGroups = (one: readonly number[], other: readonly number[]): boolean => one.length === other.length && one.every((group, i) => group === other[i]);

function areEqual({ identity: one, effective, takesGroups }: Powers, { identity: other, ...powers }: Powers): boolean {
  const areIds = one.uid === other.uid && one.gid === other.gid && effective === powers.effective && takesGroups === powers.takesGroups;
  return areIds && areSameGroups(one.groups, other.groups);
}

let groups: readonly number[] = [];

/** In a user namespace whose setgroups is denied no task has others than it was born with. */
function takeGroups(wanted: readonly number[]): void {
  if (areSameGroups(wanted, groups)) return;
  try {
    setGroups(wanted);
    groups = wanted;
  } catch (error) {
    if (!isErrno(error, EPERM)) throw error;
  }
}
