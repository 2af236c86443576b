/**
 * What a read-only view of the host's root would still expose, as data. The first defence is not here: the sandbox runs as an unprivileged
 * user, so that the host's own permissions already close what is not open to everybody (docs/decisions/0010-do-root.md). These rows are for
 * what the world may read and should not, for what a rootless sandbox could read as its caller, and for what is not a file but a door.
 */

export interface HiddenPath {
  /** Absolute. A `*` stands for any part of the last component. */
  readonly path: string;
  /**
   * `omitted`: not there; top-level directories only. `throw-away`: an empty directory that the sandbox may write to.
   * `masked`: an empty directory or file that nobody can write to.
   */
  readonly how: "omitted" | "throw-away" | "masked";
  /** Of a throw-away directory. */
  readonly mode?: number;
  readonly reason: string;
}

const omitted = (reason: string, ...paths: string[]): HiddenPath[] => paths.map((path) => ({ path, how: "omitted", reason }));
const masked = (reason: string, ...paths: string[]): HiddenPath[] => paths.map((path) => ({ path, how: "masked", reason }));
const throwAway = (mode: number, reason: string, ...paths: string[]): HiddenPath[] => paths.map((path) => ({ path, how: "throw-away", mode, reason }));

export const HIDDEN_PATHS: readonly HiddenPath[] = [
  ...omitted("kernel file systems: the sandbox has its own, or none", "/proc", "/sys", "/dev"),
  ...omitted("kernel images, boot loader passwords", "/boot", "/efi"),
  ...omitted("deleted and foreign data", "/lost+found", "/media"),
  ...throwAway(0o700, "root's keys, credentials, history", "/root"),
  ...throwAway(0o755, "users' keys, credentials, history", "/home"),
  ...throwAway(0o755, "sockets of services (docker, containerd, D-Bus, systemd), runtime credentials, other containers' state", "/run"),
  ...throwAway(0o1777, "files and sockets of other users", "/tmp", "/var/tmp"),
  ...masked("password hashes", "/etc/shadow*", "/etc/gshadow*", "/etc/security/opasswd"),
  ...masked("who may become whom", "/etc/sudoers*", "/etc/doas.conf"),
  ...masked("the host's private keys", "/etc/ssh/*_key", "/etc/ssl/private", "/etc/pki/tls/private", "/etc/letsencrypt", "/etc/krb5.keytab", "/etc/ipsec.secrets", "/etc/ipsec.d/private", "/etc/swanctl", "/etc/wireguard", "/etc/openvpn"),
  ...masked("passwords of networks and mounts", "/etc/NetworkManager/system-connections", "/etc/netplan", "/etc/wpa_supplicant", "/etc/ppp", "/etc/crypttab", "/etc/fstab", "/etc/iscsi", "/etc/ceph"),
  ...masked("credentials of services", "/etc/credstore*", "/etc/cloud", "/etc/kubernetes", "/etc/rancher", "/etc/docker", "/etc/containerd", "/etc/containers/auth.json", "/etc/postfix/sasl_passwd*", "/etc/mysql/debian.cnf"),
  ...masked("identifies the host", "/etc/machine-id", "/etc/hostid", "/var/lib/dbus/machine-id"),
  ...masked("logs tell of users, addresses, commands", "/var/log", "/var/crash", "/var/lib/systemd/coredump"),
  ...masked("mail, jobs, print-outs", "/var/mail", "/var/spool"),
  ...masked("copies of all the above", "/var/backups"),
  ...masked("other containers, machines and their volumes", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet", "/var/lib/rancher", "/var/lib/etcd", "/var/lib/cni", "/var/lib/lxc", "/var/lib/lxd", "/var/lib/incus", "/var/lib/libvirt", "/var/lib/machines", "/var/lib/portables", "/var/snap"),
  ...masked("state of services that holds secrets", "/var/lib/private", "/var/cache/private", "/var/lib/cloud", "/var/lib/sss", "/var/lib/samba", "/var/lib/NetworkManager", "/var/lib/tpm", "/var/lib/sudo", "/var/lib/systemd/random-seed", "/var/lib/gdm3", "/var/lib/AccountsService"),
];

/** Kernel-wide files of procfs that no namespace narrows: the masks of other engines, and what tells about the machine. */
export const HIDDEN_PROC: readonly HiddenPath[] = [
  ...masked("hardware and its controls", "/proc/acpi", "/proc/asound", "/proc/scsi", "/proc/interrupts", "/proc/iomem", "/proc/ioports"),
  ...masked("kernel memory and addresses", "/proc/kcore", "/proc/kallsyms", "/proc/modules", "/proc/vmallocinfo", "/proc/slabinfo"),
  ...masked("timing of others", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/latency_stats"),
  ...masked("keys of others", "/proc/keys", "/proc/key-users"),
  ...masked("how the host was booted, which may hold secrets", "/proc/cmdline", "/proc/bootconfig"),
  ...masked("the host's disks", "/proc/diskstats", "/proc/partitions", "/proc/swaps"),
];

export const READONLY_PROC = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] as const;

/** Keys and credentials below a home directory: masked where the lent directory is a home, or holds one. */
export const HIDDEN_IN_HOMES: readonly string[] = [
  ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".oci", ".config/gcloud", ".config/gh", ".config/hub", ".config/containers",
  ".config/rclone", ".config/op", ".config/sops", ".config/git/credentials", ".password-store", ".local/share/keyrings", ".mozilla",
  ".config/google-chrome", ".config/chromium", ".thunderbird", ".netrc", ".npmrc", ".yarnrc.yml", ".pypirc", ".git-credentials",
  ".pgpass", ".my.cnf", ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".m2/settings.xml", ".gradle/gradle.properties",
  ".terraform.d", ".vault-token", ".databrickscfg", ".boto", ".s3cfg", ".composer/auth.json", ".bash_history", ".zsh_history",
  ".python_history", ".node_repl_history", ".psql_history", ".mysql_history", ".sqlite_history",
];
