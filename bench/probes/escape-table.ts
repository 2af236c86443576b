/** What published escapes stood on: the attempts of guest/escapes.c, for a reader, and how their errors are to be understood. */

export interface Escape {
  /** In guest/escapes.c. */
  readonly attempt: string;
  readonly name: string;
  readonly about: string;
  readonly families?: readonly string[];
  /** Errors that only somebody gets who had the permission: the attempt is made so that it fails after it. */
  readonly through?: readonly string[];
  /** By what the host's kernel has refused, where an error of this attempt means something else than usual. */
  readonly by?: Readonly<Record<string, string>>;
  /** What "no effect" says. */
  readonly noEffect?: string;
}

export const ESCAPES: readonly Escape[] = [
  {
    attempt: "user-namespace",
    name: "user namespace",
    about: "Makes a user namespace, in a child that ends: the way to every capability over code that only root was meant to reach.",
    families: ["CVE-2022-0185", "CVE-2022-0492", "CVE-2023-0386", "CVE-2023-32233"],
  },
  {
    attempt: "user-namespace-clone3",
    name: "user namespace by clone3",
    about: "The same by clone3, whose flags are in memory where no seccomp filter sees them.",
    families: ["CVE-2022-0185", "CVE-2022-0492"],
  },
  { attempt: "join-namespace", name: "entering a namespace", about: "Enters the uts namespace that it is in already." },
  { attempt: "mount", name: "mount", about: "Mounts a tmpfs of one page in a mount namespace of its own and takes it down.", families: ["CVE-2022-0185", "CVE-2022-0492"] },
  { attempt: "mount-proc", name: "mount of a procfs", about: "Mounts a procfs read-only, which would lack what is masked in /proc, and takes it down.", families: ["CVE-2025-52881", "CVE-2025-31133"] },
  {
    attempt: "mount-overlay",
    name: "mount of an overlay",
    about: "Mounts an overlay of two empty directories read-only, and takes it down.",
    families: ["CVE-2021-3493", "CVE-2023-0386", "CVE-2023-2640"],
    through: ["EINVAL"],
    by: { ENODEV: "no such file system" },
  },
  { attempt: "mount-api", name: "new mount API", about: "Opens the context of a file system (fsopen), and closes it: the parser of its parameters lay behind.", families: ["CVE-2022-0185"] },
  { attempt: "mount-tree", name: "copy of a mount tree", about: "Copies the tree of its own mounts (open_tree), attached nowhere, and closes it." },
  {
    attempt: "mount-cgroup",
    name: "mount of cgroup v1",
    about: "Mounts an existing cgroup hierarchy read-only, and takes it down: its release agent is run by the host's kernel as root.",
    families: ["CVE-2022-0492"],
    through: ["EBUSY", "EINVAL"],
    by: { ENODEV: "no such file system" },
  },
  { attempt: "release-agent", name: "release_agent of a cgroup", about: "Opens a release_agent below /sys/fs/cgroup for writing, and writes nothing.", families: ["CVE-2022-0492"] },
  {
    attempt: "io-uring",
    name: "io_uring",
    about: "Makes a ring of four entries and closes it. What is asked by a ring passes no seccomp filter.",
    families: ["CVE-2021-41073", "CVE-2022-29582", "CVE-2023-2598", "CVE-2024-0582"],
  },
  { attempt: "bpf-map", name: "bpf: a map", about: "Makes a BPF array of one element and closes it.", families: ["CVE-2021-34866", "CVE-2023-2163"] },
  {
    attempt: "bpf-program",
    name: "bpf: a program",
    about: "Has the verifier check a program of two instructions, attaches it to nothing, and closes it.",
    families: ["CVE-2020-8835", "CVE-2021-3490", "CVE-2022-23222", "CVE-2023-2163"],
  },
  { attempt: "keys", name: "kernel keyrings", about: "Adds a key to the keyring of one process, which ends with it.", families: ["CVE-2016-0728", "CVE-2017-7472"] },
  { attempt: "userfaultfd", name: "userfaultfd", about: "Makes a userfaultfd that handles faults of the kernel too, registers nothing and closes it: it makes races easy to win.", families: ["CVE-2016-6187", "CVE-2019-18683"] },
  {
    attempt: "perf",
    name: "perf_event_open",
    about: "Opens a counter of its own processor time, kernel included, and closes it.",
    families: ["CVE-2013-2094", "CVE-2022-1729", "CVE-2023-5717"],
    by: { EACCES: "sysctl kernel.perf_event_paranoid" },
  },
  { attempt: "nftables", name: "nftables", about: "Sends an empty batch to the packet filter of its network namespace.", families: ["CVE-2022-32250", "CVE-2023-32233", "CVE-2024-1086"] },
  { attempt: "route-netlink", name: "route netlink", about: "Makes a socket to the configuration of its network namespace, traffic control included, and closes it.", families: ["CVE-2022-2588", "CVE-2023-1829"] },
  { attempt: "packet-socket", name: "packet socket", about: "Makes a packet socket that receives nothing, and closes it.", families: ["CVE-2016-8655", "CVE-2017-7308", "CVE-2020-14386"] },
  { attempt: "raw-socket", name: "raw socket", about: "Makes a raw ICMP socket, and closes it.", families: ["CVE-2017-17712"] },
  {
    attempt: "vsock",
    name: "vsock socket",
    about: "Makes a socket of the family that talks to hypervisors, and closes it. The host's kernel may load the module for it.",
    families: ["CVE-2021-26708", "CVE-2024-50264"],
  },
  { attempt: "crypto-socket", name: "socket of the kernel's cryptography", about: "Makes an AF_ALG socket, and closes it. The host's kernel may load the module for it.", families: ["CVE-2019-8912"] },
  {
    attempt: "abstract-socket",
    name: "abstract sockets of the host",
    about: "Connects to an abstract socket on which the bench listens in the host's network namespace.",
    families: ["CVE-2020-15257"],
    by: { ECONNREFUSED: "network namespace" },
  },
  { attempt: "ptrace", name: "ptrace", about: "Seizes a child of its own.", families: ["CVE-2014-4699", "CVE-2019-13272"] },
  { attempt: "core-pattern", name: "core_pattern", about: "Opens /proc/sys/kernel/core_pattern for writing, and writes nothing: what it names is run as root on the host.", families: ["CVE-2022-0811", "CVE-2025-31133", "CVE-2025-52881"] },
  { attempt: "modprobe-path", name: "modprobe's path", about: "Opens /proc/sys/kernel/modprobe for writing, and writes nothing." },
  { attempt: "sysrq", name: "sysrq-trigger", about: "Opens /proc/sysrq-trigger for writing, and writes nothing.", families: ["CVE-2025-31133", "CVE-2025-52881"] },
  { attempt: "uevent-helper", name: "uevent_helper", about: "Opens /sys/kernel/uevent_helper for writing, and writes nothing." },
  { attempt: "kcore", name: "memory of the kernel", about: "Opens /proc/kcore for reading, and reads nothing." },
  { attempt: "device-node", name: "device nodes of its own", about: "Makes a node of /dev/mem's numbers in /tmp, opens it for reading, reads nothing, and removes it.", by: { EPERM: "capability or device cgroup", ENXIO: "no such device" } },
  {
    attempt: "devices",
    name: "devices of the host",
    about: "Opens for reading what it finds in /dev of the host's disks, memory, hypervisor and network, and reads nothing.",
    families: ["CVE-2019-14835", "CVE-2021-22543"],
  },
  { attempt: "module", name: "loading a module", about: "Asks for the loading of a module from a descriptor that is none.", through: ["EBADF", "EINVAL", "ENOEXEC"] },
  {
    attempt: "tiocsti",
    name: "typing into a terminal",
    about: "Pushes a character into the input of a terminal of its own (TIOCSTI).",
    families: ["CVE-2016-2568", "CVE-2017-5226", "CVE-2019-10063"],
    by: { EIO: "sysctl dev.tty.legacy_tiocsti" },
  },
  {
    attempt: "dirty-pipe",
    name: "splice into a pipe (Dirty Pipe)",
    about: "Splices a file of its own into a pipe that was written to before, writes on, and looks whether its file has changed.",
    families: ["CVE-2022-0847"],
    noEffect: "the file stays as it was",
  },
  { attempt: "file-handle", name: "files by handle", about: "Opens its own root directory by file handle, and closes it.", families: ["CVE-2014-3519"], through: ["ESTALE"] },
  { attempt: "descriptors", name: "descriptors left open", about: "Looks for descriptors that it was started with, beside the standard streams.", families: ["CVE-2016-9962", "CVE-2024-21626"], noEffect: "none" },
  { attempt: "cwd", name: "working directory", about: "Asks for the name of the directory that it was started in: one outside of its root has none.", families: ["CVE-2024-21626"], noEffect: "in the container's root" },
  { attempt: "entry-32", name: "32-bit system calls", about: "Asks for its process id by the entry for 32-bit programs, whose structures are converted by code of their own.", families: ["CVE-2010-3301", "CVE-2021-22555"] },
  { attempt: "ldt", name: "segment descriptors (modify_ldt)", about: "Reads its own, empty, table of segment descriptors.", families: ["CVE-2017-17053"] },
  { attempt: "volume-link", name: "links in a volume", about: "Opens a file of the host's, made for this, by links in a volume: with its whole path, and upwards.", families: ["CVE-2017-1002101", "CVE-2021-25741"] },
];
