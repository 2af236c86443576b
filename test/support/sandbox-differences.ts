/**
 * Tests of the OCI contract that a container in a sandbox is known to fail, by name, with the reason. There they must fail, so that an entry goes when
 * it is not true any more.
 */
import process from "node:process";

const NO_PID_NAMESPACE = "a sandbox has a pid namespace of its own, always";
const ROOT_IN_MEMORY = "what the test reads on the host was written to the container's root, which stays in memory";

export const SANDBOX_DIFFERENCES: Readonly<Record<string, string>> = {
  "without a pid namespace kill KILL ends every member of the cgroup": NO_PID_NAMESPACE,
  "without a pid namespace kill --all KILL ends every member of the cgroup": NO_PID_NAMESPACE,
  "without a pid namespace delete ends what outlived the container's process": NO_PID_NAMESPACE,
  "run --detach returns while the container runs, and no process but the container's is left": "sentry and gofer are",
  "it sits in the container's cgroups and is numbered in its pid namespace, with a parent outside": "its cgroup namespace is its own: /proc/self/cgroup does not tell where on the host it is",
  "exec sees the mounts made since, as the container does, and its limits stay the container's": "nothing is mounted in a sandbox, and its limits are shown by files of its own",
  "the slave is standard input, output and error, the controlling terminal and /dev/console; the process leads its session": ROOT_IN_MEMORY,
  "nor can it when it is detached and has the caller's terminal as its standard input": ROOT_IN_MEMORY,
  ...(process.env["TSSANDBOX_PLATFORM"] === "ptrace" && process.env["TSSANDBOX_POLICY"] === "strict" && { "--cap adds capabilities, --no-new-privs sets the bit": "all processes have no_new_privs (decision 0040)" }),
};
