/*
 * What published escapes stood on, each tried in a child of its own and undone with it. The last call made with `try` decides what is told:
 * a line of the attempt's name, `ok`, `no effect`, an errno, `signal NAME` or `stuck`, the call's number and arguments, the file system of the file
 * that it has opened (statfs(2)'s f_type, hexadecimal; 0 for none), and a note. Number -1: no call decided; -2: getpid by the 32-bit entry.
 *
 * Harmless also for root with every capability: what would change something is opened and not written, given flags or contents that are refused
 * after the permission to use it has been asked, or made in the child's own memory, session, mount namespace or /tmp.
 */
#include "probe.h"

#include <dirent.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

enum { NO_CALL = -1, BY_THE_32_BIT_ENTRY = -2 };

static volatile struct {
  long nr;
  unsigned long args[6];
  int error;
  int no_effect;
  unsigned long fs;
  char note[400];
} *told;

static long try(long nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e) {
  unsigned long args[6] = {a, b, c, d, e, 0};
  told->nr = nr;
  for (int i = 0; i < 6; i++) told->args[i] = args[i];
  told->error = 0;
  long result = syscall(nr, a, b, c, d, e, 0);
  if (result < 0) told->error = errno;
  return result;
}

#define TRY(nr, ...) TRY_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0)
#define TRY_(nr, a, b, c, d, e, ...) try(nr, (unsigned long)(a), (unsigned long)(b), (unsigned long)(c), (unsigned long)(d), (unsigned long)(e))

static void note(const char *text) {
  size_t length = strlen((char *)told->note);
  snprintf((char *)told->note + length, sizeof told->note - length, "%s%s", length ? " " : "", text);
}

static int try_open(const char *path, int flags) {
  int fd = TRY(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct statfs fs;
  if (fd >= 0 && fstatfs(fd, &fs) == 0) told->fs = fs.f_type;
  return fd;
}

static const char *argument(const char *key);

static void user_namespace(void) { TRY(SYS_unshare, CLONE_NEWUSER); }

/* Its flags are in memory, where no filter sees them. */
static void user_namespace_by_clone3(void) {
  static struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
  if (TRY(SYS_clone3, &args, sizeof args) == 0) _exit(0);
}

/* Mounts are made in a mount namespace of the child's own where that can be had, and taken down again in any case. */
static void try_mount(const char *type, unsigned long flags, const char *data) {
  if (unshare(CLONE_NEWNS) == 0) mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
  mkdir("/tmp/mountpoint", 0700);
  if (TRY(SYS_mount, "none", "/tmp/mountpoint", type, flags, data) == 0) umount2("/tmp/mountpoint", MNT_DETACH);
}

static void mount_tmpfs(void) { try_mount("tmpfs", MS_NOSUID, "size=4096"); }
static void mount_cgroup(void) { try_mount("cgroup", MS_RDONLY, "memory"); }

static void mount_overlay(void) {
  mkdir("/tmp/lower", 0700);
  mkdir("/tmp/lower2", 0700);
  try_mount("overlay", MS_RDONLY, "lowerdir=/tmp/lower:/tmp/lower2");
}

static void mount_of_procfs(void) { try_mount("proc", MS_RDONLY, NULL); }
static void new_mount_api(void) { TRY(SYS_fsopen, "tmpfs", 1 /* FSOPEN_CLOEXEC */); }
static void copy_of_a_mount_tree(void) { TRY(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */); }

static void io_uring(void) {
  static struct io_uring_params params;
  TRY(SYS_io_uring_setup, 4, &params);
}

static void bpf_map(void) {
  static union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
  TRY(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
}

static void bpf_program(void) {
  static const struct bpf_insn program[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0}, {.code = BPF_JMP | BPF_EXIT}};
  static union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2};
  attr.insns = (unsigned long)program;
  attr.license = (unsigned long)"GPL";
  TRY(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
}

/* A key in the keyring of this process alone, which ends with it. */
static void keys(void) { TRY(SYS_add_key, "user", "probe", "x", 1, KEY_SPEC_PROCESS_KEYRING); }

static void userfault(void) { TRY(SYS_userfaultfd, O_CLOEXEC); }

/* Counts the child's own processor time, in the kernel as well: what needs the most rights of the plain counters. */
static void perf(void) {
  static struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_TASK_CLOCK, .disabled = 1};
  TRY(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

/* An empty batch: the kernel asks for the right to configure before it looks inside. Source: Linux net/netfilter/nfnetlink.c, nfnetlink_rcv. */
static void nftables(void) {
  struct {
    struct nlmsghdr header;
    struct nfgenmsg body;
  } begin = {.header = {.nlmsg_len = sizeof begin, .nlmsg_type = NFNL_MSG_BATCH_BEGIN, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}, .body = {.res_id = htobe16(NFNL_SUBSYS_NFTABLES)}};
  int fd = TRY(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
  struct timeval patience = {.tv_usec = 100000};
  char answer[512] = "";
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0) return;
  if (TRY(SYS_sendto, fd, &begin, sizeof begin, 0) < 0 || recv(fd, answer, sizeof answer, 0) < (ssize_t)sizeof(struct nlmsghdr)) return;
  const struct nlmsgerr *error = NLMSG_DATA((struct nlmsghdr *)answer);
  if (((struct nlmsghdr *)answer)->nlmsg_type == NLMSG_ERROR) told->error = -error->error;
}

static void route_netlink(void) { TRY(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); }
static void packet_socket(void) { TRY(SYS_socket, AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); }
static void raw_socket(void) { TRY(SYS_socket, AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1 /* ICMP */); }
static void vsock(void) { TRY(SYS_socket, AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0); }
static void crypto_socket(void) { TRY(SYS_socket, AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0); }

/* The bench listens on it, in the host's network namespace. */
static void abstract_socket(void) {
  static struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *name = argument("abstract");
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || name == NULL) {
    told->error = ENOENT;
    return;
  }
  snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", name);
  TRY(SYS_connect, fd, &address, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static void trace(void) {
  pid_t pid = fork();
  if (pid == 0) {
    sleep(1);
    _exit(0);
  }
  TRY(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0);
  kill(pid, SIGKILL);
}

/* A release agent within reach is one of a cgroup v1 mount at its hierarchy's root. */
static void release_agent(void) {
  static const char *const below[] = {"memory", "rdma", "cpu", "cpu,cpuacct", "cpuset", "devices", "freezer", "blkio", "pids", "systemd", "."};
  char path[100];
  for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s/release_agent", below[i]);
    if (try_open(path, O_WRONLY) >= 0) return note(path);
  }
}

static void core_pattern(void) { try_open("/proc/sys/kernel/core_pattern", O_WRONLY); }
static void modprobe_path(void) { try_open("/proc/sys/kernel/modprobe", O_WRONLY); }
static void sysrq(void) { try_open("/proc/sysrq-trigger", O_WRONLY); }
static void uevent_helper(void) { try_open("/sys/kernel/uevent_helper", O_WRONLY); }
static void kernel_memory(void) { try_open("/proc/kcore", O_RDONLY); }

static void device_node(void) {
  unlink("/tmp/mem");
  if (TRY(SYS_mknodat, AT_FDCWD, "/tmp/mem", S_IFCHR | 0600, makedev(1, 1)) == 0) try_open("/tmp/mem", O_RDONLY);
  unlink("/tmp/mem");
}

static void devices_at_hand(void) {
  static const char *const names[] = {"mem", "kmem", "port", "kmsg", "kvm", "fuse", "net/tun", "vhost-net", "vhost-vsock", "loop-control", "sda", "vda", "nvme0n1", "mapper/control", "userfaultfd", "dri/card0"};
  char path[64];
  int found = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "/dev/%s", names[i]);
    int error = told->error;
    if (try_open(path, O_RDONLY) >= 0) {
      note(path);
      found = 1;
    } else if (error != 0 && told->error == ENOENT) told->error = error;
  }
  if (found) told->error = 0;
}

/* The kernel asks for CAP_SYS_MODULE first: any other error is of somebody who may load modules. */
static void load_a_module(void) { TRY(SYS_finit_module, -1, "", 0); }

/* Into a terminal of the child's own, in a session of its own. */
static void type_into_a_terminal(void) {
  int zero = 0;
  char character = 'x';
  int number = 0;
  char path[32];
  int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  if (TRY(SYS_ioctl, master, TIOCSPTLCK, &zero) < 0 || TRY(SYS_ioctl, master, TIOCGPTN, &number) < 0) return;
  snprintf(path, sizeof path, "/dev/pts/%d", number);
  int slave = try_open(path, O_RDWR);
  if (slave < 0 || TRY(SYS_ioctl, slave, TIOCSCTTY, 0) < 0) return;
  told->fs = 0;
  TRY(SYS_ioctl, slave, TIOCSTI, &character);
}

/* A file of the child's own is spliced into a pipe whose buffers were merged with before, and the pipe written to: does the file change? */
static void dirty_pipe(void) {
  static char buffer[65536];
  int ends[2];
  int writer = open("/tmp/spliced", O_CREAT | O_TRUNC | O_RDWR, 0600);
  int file = open("/tmp/spliced", O_RDONLY);
  if (writer < 0 || write(writer, "original", 8) != 8 || pipe(ends) < 0) return note("no file to try it with");
  long size = fcntl(ends[1], F_GETPIPE_SZ);
  for (long left = size; left > 0; left -= 4096)
    if (write(ends[1], buffer, 4096) < 0) break;
  for (long left = size; left > 0; left -= 4096)
    if (read(ends[0], buffer, 4096) < 0) break;
  loff_t offset = 0;
  if (TRY(SYS_splice, file, &offset, ends[1], NULL, 1) != 1) return;
  char now[8] = "";
  told->no_effect = write(ends[1], "X", 1) == 1 && pread(file, now, 8, 0) == 8 && memcmp(now, "original", 8) == 0;
  unlink("/tmp/spliced");
}

/* "Shocker": whoever may open by handle reaches every file of the file system, mounted or not. */
static void file_by_handle(void) {
  static struct {
    struct file_handle h;
    char bytes[128];
  } handle = {.h = {.handle_bytes = 128}};
  static int mount_id;
  int at = open("/", O_RDONLY | O_DIRECTORY);
  if (TRY(SYS_name_to_handle_at, AT_FDCWD, "/", &handle, &mount_id, 0) < 0 && errno != EOPNOTSUPP) return;
  TRY(SYS_open_by_handle_at, at, &handle, O_RDONLY);
}

/* What it was started with beside the standard streams: this is a child, and the program opens nothing before. */
static void leaked_descriptors(void) {
  char path[64], target[200];
  told->no_effect = 1;
  for (int fd = 3; fd < 1024; fd++) {
    if (fcntl(fd, F_GETFD) < 0) continue;
    told->no_effect = 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = 0;
    note(target[0] ? target : path);
  }
}

static void leaked_directory(void) {
  char path[400] = "";
  long n = TRY(SYS_getcwd, path, sizeof path);
  told->no_effect = n > 0 && path[0] == '/';
  note(n > 0 ? path : "no name");
}

/* The 32-bit entry: getpid. */
static void entry_of_32_bits(void) {
  long result;
  told->nr = BY_THE_32_BIT_ENTRY;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "r8", "r9", "r10", "r11", "memory");
  told->error = (int)result < 0 ? -(int)result : 0;
}

static void descriptor_table(void) {
  static char table[64];
  TRY(SYS_modify_ldt, 0 /* read */, table, sizeof table);
}

static void join_a_namespace(void) {
  int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
  TRY(SYS_setns, fd, CLONE_NEWUTS);
}

/* Links in a volume to a file of the host's: by its whole path, and upwards. */
static void link_in_a_volume(void) {
  char secret[64] = "";
  int fd = -1;
  for (int i = 0; i < 2 && fd < 0; i++) fd = try_open(i == 0 ? "/volume/whole-path" : "/volume/upwards", O_RDONLY);
  if (fd >= 0 && read(fd, secret, sizeof secret - 1) > 0) note(secret);
}

static const struct {
  const char *name;
  void (*run)(void);
} attempts[] = {
  {"user-namespace", user_namespace}, {"user-namespace-clone3", user_namespace_by_clone3}, {"join-namespace", join_a_namespace}, {"mount", mount_tmpfs},
  {"mount-proc", mount_of_procfs}, {"mount-overlay", mount_overlay}, {"mount-api", new_mount_api}, {"mount-tree", copy_of_a_mount_tree}, {"mount-cgroup", mount_cgroup},
  {"release-agent", release_agent}, {"io-uring", io_uring}, {"bpf-map", bpf_map}, {"bpf-program", bpf_program}, {"keys", keys}, {"userfaultfd", userfault}, {"perf", perf},
  {"nftables", nftables}, {"route-netlink", route_netlink}, {"packet-socket", packet_socket}, {"raw-socket", raw_socket}, {"vsock", vsock}, {"crypto-socket", crypto_socket},
  {"abstract-socket", abstract_socket}, {"ptrace", trace}, {"core-pattern", core_pattern}, {"modprobe-path", modprobe_path}, {"sysrq", sysrq},
  {"uevent-helper", uevent_helper}, {"kcore", kernel_memory}, {"device-node", device_node}, {"devices", devices_at_hand}, {"module", load_a_module},
  {"tiocsti", type_into_a_terminal}, {"dirty-pipe", dirty_pipe}, {"file-handle", file_by_handle}, {"descriptors", leaked_descriptors}, {"cwd", leaked_directory},
  {"entry-32", entry_of_32_bits}, {"ldt", descriptor_table}, {"volume-link", link_in_a_volume},
};

static int count;
static char **arguments;

static const char *argument(const char *key) {
  size_t length = strlen(key);
  for (int i = 0; i < count; i++)
    if (strncmp(arguments[i], key, length) == 0 && arguments[i][length] == '=') return arguments[i] + length + 1;
  return NULL;
}

static void run(void *index) { attempts[*(size_t *)index].run(); }

static const char *outcome(enum ended ended, int status) {
  static char text[40];
  if (ended == STUCK) return "stuck";
  if (ended == SIGNALLED) {
    snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
    return text;
  }
  if (told->error != 0) return strerrorname_np(told->error) ?: "an error";
  return told->no_effect ? "no effect" : "ok";
}

void escapes(int n, char **given) {
  count = n;
  arguments = given;
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  mkdir("/tmp", 01777);
  for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
    memset((void *)told, 0, sizeof *told);
    told->nr = NO_CALL;
    int status = 0;
    enum ended ended = in_child(run, &i, 2000, &status);
    const char *result = outcome(ended, status);
    printf("%s\t%s\t%ld", attempts[i].name, result, told->nr);
    for (int a = 0; a < 6; a++) printf("%c0x%lx", a == 0 ? '\t' : ' ', told->args[a]);
    printf("\t%lx\t", told->fs);
    print_escaped((char *)told->note);
    printf("\n");
  }
}
