import type { Fd } from "../../linux/fd.ts";
import type { MountAttributes } from "../../linux/mount.ts";
import type { ContainerLaunch } from "./launch.ts";

/** What the set-up steps of a container's init share. */
export interface Setup {
  readonly launch: ContainerLaunch;
  /** The root file system's mount, attached; its root directory. */
  readonly root: Fd;
  /** The sandbox's own /proc and /sys, for a guest. */
  readonly system: Fd | undefined;
  /** What lies over the host's root, if anything does. */
  readonly scratch: Fd | undefined;
  /** Joins the container's cgroup and enters its cgroup namespace; at the first call, further ones do nothing. */
  readonly enterCgroup: () => void;
  /** Attributes that wait until nothing more is created inside those mounts. */
  readonly late: { readonly fd: Fd; readonly attributes: MountAttributes }[];
}
