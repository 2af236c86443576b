/**
 * The sentry's own confinement: it may be taken over by its guest, and must then have every right over that guest and none over anything else.
 *
 *   session               its own: no terminal
 *   mount namespace       an empty root; a procfs of the sandbox's pid namespace, attached to nothing
 *   inherited descriptors closed, but those that are named
 *   limits                no core, no locked memory, bounded descriptors and memory
 *   identity              an unprivileged id of the sandbox's own, or where a user has but one, his; no capability, and not dumpable
 *   seccomp               policy.ts, an allow list
 *
 * No Landlock: tasks that are not born in its domain, and the guest's are not, could no longer have their memory read.
 */
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MS_REC, MS_SLAVE } from "../linux/abi/mount.ts";
import { becomeUser, setCapabilities, type UserIds } from "../linux/credentials.ts";
import { inStep } from "../linux/errors.ts";
import type { FdLike } from "../linux/fd.ts";
import { dropInherited, type NodeResources } from "../linux/inherited.unsafe.ts";
import { createEmptyDirectory, createMount, mount, replaceRoot } from "../linux/mount.ts";
import { setDumpable, setNoNewPrivileges } from "../linux/prctl.ts";
import { getResourceLimit, newSession, setResourceLimit } from "../linux/process.ts";
import { setSeccompFilter } from "../linux/seccomp.ts";
import type { PlatformName, PolicyName } from "../policies/syscalls/names.ts";
import { sentryFilter } from "./compiled.ts";
import { tracingSentryFilter } from "./platform/ptrace/compiled.ts";
import { strictSentryFilter } from "./strict/compiled.ts";
import { strictTracingSentryFilter } from "./strict/compiled-ptrace.ts";
import { Tasks } from "./tasks.ts";

export interface SentryJail {
  /** Its user, unprivileged, owns the guest's user namespace: all the power over it that the sentry has. */
  readonly ids: UserIds;
  /** The descriptors that it keeps, beside 0, 1 and 2. */
  readonly keep: readonly FdLike[];
  readonly inherited: NodeResources;
  /** How many descriptors it may have: its sources (sentry.ts), and what it holds besides. */
  readonly descriptors?: number;
}

const DESCRIPTORS = 2048;

/**
 * Preconditions: a forked child, in mount, net, ipc and uts namespaces of its own, init of its pid namespace, with the rights to mount and to
 * change its ids.
 * @returns the sandbox's tasks, the only thing that it still sees.
 */
export function enterSentryJail({ ids, keep, inherited, descriptors = DESCRIPTORS }: SentryJail): Tasks {
  inStep("session", newSession);
  // Not attached anywhere: what is looked up in it is looked up by its descriptor.
  const proc = inStep("procfs", () => createMount("proc", [["subset", "pid"]], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  inStep("empty root", emptyRoot);
  inStep("descriptors", () => dropInherited([...keep, proc], inherited));
  inStep("limits", () => setLimits(descriptors));
  inStep("identity", () => {
    becomeUser(ids);
    // Neither follows from a change of ids where they do not change, or where none of them is root.
    setCapabilities({ effective: 0n, permitted: 0n, inheritable: 0n });
    setDumpable(false);
  });
  setNoNewPrivileges();
  return new Tasks(proc);
}

const FILTERS: Readonly<Record<PolicyName, Readonly<Record<PlatformName, () => Uint8Array>>>> = {
  balanced: { notify: sentryFilter, ptrace: tracingSentryFilter },
  strict: { notify: strictSentryFilter, ptrace: strictTracingSentryFilter },
};

/** The last step, after which there is nothing left but to serve: what that does not take is refused. */
export function refuseOtherCalls(policy: PolicyName = "balanced", platform: PlatformName = "notify"): void {
  inStep("seccomp", () => setSeccompFilter(FILTERS[policy][platform](), 0));
}

/** RLIMIT_* numbers and their values. Source: Linux include/uapi/asm-generic/resource.h. */
const LIMITS = {
  core: [4, 0],
  memlock: [8, 0],
  msgqueue: [12, 0],
  sigpending: [11, 64],
  // Private memory: the heap's own limit is far below.
  data: [2, 1 << 30],
} as const;

function setLimits(descriptors: number): void {
  for (const [name, [number, value]] of Object.entries({ ...LIMITS, nofile: [7, descriptors] as const })) {
    const { hard } = getResourceLimit(number);
    const limit = hard < BigInt(value) ? hard : BigInt(value);
    setResourceLimit(number, limit, limit, name);
  }
}

/** Preconditions: a mount namespace of its own. */
export function emptyRoot(): void {
  mount("", "/", "", MS_SLAVE | MS_REC);
  using root = createEmptyDirectory();
  replaceRoot(root);
}
