import type { UserIds } from "../../linux/credentials.ts";
import type { Fd } from "../../linux/fd.ts";
import type { TellingTarget } from "../../sentry/messages.ts";
import type { NamespaceFile } from "../../linux/namespace.ts";
import type { Joining } from "../cgroups/index.ts";
import type { RootSize } from "../sandbox/root-size.ts";
import type { Mount, Process, Spec } from "../spec/config.ts";

/** A namespace to enter, opened by the runtime. */
export interface JoinedNamespace {
  readonly file: NamespaceFile;
  readonly fd: Fd;
  readonly path: string;
}

/** Where a terminal's master goes. The socket is connected already. */
export interface ConsoleTarget {
  readonly socket: Fd;
}

/** What stage and init need to become any process in a container. The fork copies it with everything else on the heap. */
export interface ProcessLaunch {
  readonly process: Process;
  /** The container's end of the protocol socket. */
  readonly channel: Fd;
  readonly join: readonly JoinedNamespace[];
  /** CLONE_NEW* of the namespaces to create. */
  readonly create: readonly NamespaceFile[];
  readonly console: ConsoleTarget | undefined;
  /** How many descriptors from 3 on the program inherits. */
  readonly preserveFds: number;
  /** LISTEN_FDS for the program, where the runtime itself was socket-activated. */
  readonly listenFds: number;
  /** To be loaded in this order. */
  readonly filters: readonly SeccompLaunch[];
  /** The host's /proc, verified to be a procfs. */
  readonly hostProc: Fd;
  readonly newKeyring: boolean;
  /** Whether the container's user namespace forbids setgroups(2). */
  readonly denySetgroups: boolean;
  /** The way into the container's cgroups. */
  readonly joining: Joining;
  /** Name of the session keyring. */
  readonly id: string;
  /** In sentry mode, for a process whose user namespace is new. */
  readonly guest: GuestLaunch | undefined;
}

/** What makes the container a sandbox's guest. */
export interface GuestLaunch {
  /** The id on the host that shall own the guest's user namespace, and with it have all rights over the guest: the sentry's. */
  readonly owner: number;
  /** Whom init is inside until it becomes the program's user: root, or where the maps have none the first whom they have. */
  readonly root: UserIds;
  /** Set by the stage: those of namespaces that are joined, and do not belong to the guest's user namespace. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** The outer pid namespace, whose init is the sentry. The stage is born in it, so that init can have one inside. */
  readonly pidNamespace: Fd;
  /** The file systems that the gofer will serve, by names of our own: `root`, `system`, and one per volume. */
  readonly fileSystems: readonly string[];
  /** See gofer/fuse/open-device.ts. */
  readonly fuseNode: Fd;
  /** The stage fills it: one device for each. */
  readonly devices: Map<string, Fd>;
  /** What is mounted by way of the gofer instead of being bound: the file system's name and its root's S_IF* type. */
  readonly volumes: ReadonlyMap<Mount, { readonly name: string; readonly type: number }>;
  /** init fills it: the mounts of the volumes, detached. */
  readonly mounted: Map<Mount, Fd>;
  /** Where writes to the root file system go. */
  readonly rootWrites: "memory" | "host";
  /** Of what those take that stay in memory; undefined: as tmpfs has it. */
  readonly rootSize: RootSize | undefined;
  /** Whether the configuration has a sysfs. */
  readonly sysfs: boolean;
  /** What the sandbox's own /proc has. */
  readonly systemProc: ReadonlySet<string>;
}

/** A compiled filter. */
export interface SeccompLaunch {
  readonly program: Uint8Array;
  /** SECCOMP_FILTER_FLAG_*. */
  readonly flags: number;
  /** Whether the filter lets a native system call through, without a listener or tracer having a say. */
  readonly allows: (nr: number, args: readonly number[]) => boolean;
  /** Whether it comes before the resource limits, which may leave no room for a listener's descriptor. It must then allow what follows. */
  readonly early: boolean;
  /** Where its notifications go: a connected socket, and what is to be sent with the listener, told the process's pid on the host. */
  readonly listener: { readonly socket: Fd; readonly message: (pid: number) => string } | undefined;
  /** Where the task's way into the sandbox goes that waits to be traced (sentry/platform/ptrace/gate.ts): a connected socket; and where its calls are told of. */
  readonly gate?: { readonly socket: Fd; readonly strace: TellingTarget | undefined; /** Whether the filter is loaded behind it, and not before: the process has no_new_privs for that. */ readonly loads: boolean };
}

/** What only a container's first process needs. */
export interface ContainerLaunch extends ProcessLaunch {
  readonly spec: Spec;
  /** Absolute. */
  readonly rootfs: string;
  /** A detached mount per bind mount, where the runtime had the privilege to make it. */
  readonly bindSources: ReadonlyMap<Mount, Fd>;
  readonly startSocket: Fd;
  /** Locked by init until its exec: `created` turns into `running` when the kernel drops it. */
  readonly createdLock: Fd;
  /** Cgroup hierarchies: where a mount of type `cgroup` gets its content from. */
  readonly cgroups: readonly CgroupMount[];
  readonly noPivot: boolean;
  /** What `do` does in another way than a container from a bundle. */
  readonly embedded: Embedded | undefined;
  /** The state as hooks see it, for a status and pid. */
  readonly hookState: (status: "creating" | "created", pid: number) => string;
}

/** Parts of init that a container composed in memory brings along. All of them run in init. */
export interface Embedded {
  /**
   * Builds the root file system on the directory `at`, which nothing else uses. @param lent in sentry mode, the gofer's `root`, attached.
   * @returns its mount, attached.
   */
  readonly buildRoot: (at: string, lent?: Fd) => Fd;
  /** Called when init has its last ids, and the runtime is still to be heard of. */
  readonly prepared: () => void;
  /** A pidfd of the runtime's, where init is not its child yet: init ends with it while it waits for the start. */
  readonly runtime: Fd | undefined;
  /** @param program turns the calling process into the program; does not return. */
  readonly run: (program: () => never) => never;
}

export interface CgroupMount {
  /** Controllers as the v1 mount names them (`cpu,cpuacct`); '' for v2. */
  readonly controllers: string;
  readonly mountPoint: string;
  /** The container's own directory. */
  readonly path: string;
}
