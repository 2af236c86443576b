/*
 * probe: prints one JSON object that says what this process is, seen from inside.
 * Facts come from system calls where one exists, so that most of it works without /proc.
 * `probe --hold` then waits for a signal, so that the same process can be looked at from the host.
 * `probe --to FILE` writes to FILE instead of standard output. Other arguments are only reported.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static FILE *out;

static void str(const char *s, size_t n) {
  fputc('"', out);
  for (size_t i = 0; i < n; i++) {
    unsigned char c = s[i];
    if (c == '"' || c == '\\') fprintf(out, "\\%c", c);
    else if (c < 32) fprintf(out, "\\u%04x", c);
    else fputc(c, out);
  }
  fputc('"', out);
}
static void cstr(const char *s) { str(s, strlen(s)); }
static void key(const char *k) { fputs(",\"", out); fputs(k, out); fputs("\":", out); }
static void num(const char *k, long long v) { key(k); fprintf(out, "%lld", v); }

static void text_file(const char *k, const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  key(k);
  if (fd < 0) { fputs("null", out); return; }
  size_t cap = 1 << 16, len = 0;
  char *buf = malloc(cap);
  ssize_t n;
  while ((n = read(fd, buf + len, cap - len)) > 0)
    if ((len += n) == cap) buf = realloc(buf, cap *= 2);
  str(buf, len);
  free(buf);
  close(fd);
}
static void link_target(const char *k, const char *path) {
  char buf[4096];
  ssize_t n = readlink(path, buf, sizeof buf);
  key(k);
  if (n < 0) fputs("null", out); else str(buf, n);
}
static void list(const char *k, char **v) {
  key(k); fputc('[', out);
  for (int i = 0; v[i]; i++) { if (i) fputc(',', out); cstr(v[i]); }
  fputc(']', out);
}

/* Must run first: opening anything would add descriptors of our own. */
static void descriptors(void) {
  key("fds"); fputc('[', out);
  int first = 1;
  for (int fd = 0; fd < 4096; fd++) {
    int flags = fcntl(fd, F_GETFD), status = fcntl(fd, F_GETFL);
    struct stat st;
    if (flags < 0 || (out != stdout && fd == fileno(out))) continue;
    char path[64], target[4096];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof target);
    fstat(fd, &st);
    fprintf(out, "%s{\"fd\":%d,\"cloexec\":%s,\"access\":%d,\"mode\":%u,\"ino\":%llu,\"target\":", first ? "" : ",", fd,
            flags & FD_CLOEXEC ? "true" : "false", status & O_ACCMODE, st.st_mode, (unsigned long long)st.st_ino);
    if (n < 0) fputs("null}", out); else { str(target, n); fputc('}', out); }
    first = 0;
  }
  fputc(']', out);
}
static void identity(void) {
  uid_t r, e, s; gid_t a, b, c, groups[1024];
  getresuid(&r, &e, &s); getresgid(&a, &b, &c);
  key("uid"); fprintf(out, "[%u,%u,%u,%u]", r, e, s, (unsigned)syscall(SYS_setfsuid, -1));
  key("gid"); fprintf(out, "[%u,%u,%u,%u]", a, b, c, (unsigned)syscall(SYS_setfsgid, -1));
  int n = getgroups(1024, groups);
  key("groups"); fputc('[', out);
  for (int i = 0; i < n; i++) fprintf(out, "%s%u", i ? "," : "", groups[i]);
  fputc(']', out);
  mode_t m = umask(0); umask(m);
  num("umask", m);
}
static void capabilities(void) {
  struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
  struct __user_cap_data_struct d[2] = {{0}};
  unsigned long long bounding = 0, ambient = 0;
  syscall(SYS_capget, &h, d);
  for (int i = 0; i < 64; i++) {
    if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) bounding |= 1ULL << i;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) ambient |= 1ULL << i;
  }
#define WIDE(f) ((unsigned long long)d[1].f << 32 | d[0].f)
  key("caps"); fprintf(out, "{\"effective\":\"%016llx\",\"permitted\":\"%016llx\",\"inheritable\":\"%016llx\",\"bounding\":\"%016llx\",\"ambient\":\"%016llx\"}",
    WIDE(effective), WIDE(permitted), WIDE(inheritable), bounding, ambient);
}
static void controls(void) {
  int pdeath = -1, subreaper = -1;
  prctl(PR_GET_PDEATHSIG, &pdeath); prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
  num("noNewPrivs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  num("securebits", prctl(PR_GET_SECUREBITS)); num("keepCaps", prctl(PR_GET_KEEPCAPS));
  num("dumpable", prctl(PR_GET_DUMPABLE)); num("pdeathsig", pdeath); num("subreaper", subreaper);
  num("timerSlack", prctl(PR_GET_TIMERSLACK)); num("thpDisable", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  num("personality", personality(0xffffffff));
}
static void limits(void) {
  static const char *names[] = { "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC", "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME" };
  key("rlimits"); fputc('{', out);
  for (int i = 0; i < 16; i++) {
    struct rlimit r; getrlimit(i, &r);
    fprintf(out, "%s\"%s\":[%lld,%lld]", i ? "," : "", names[i], (long long)r.rlim_cur, (long long)r.rlim_max);
  }
  fputc('}', out);
}
static void scheduling(void) {
  struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; uint32_t min, max; } a = { 0 };
  syscall(SYS_sched_getattr, 0, &a, sizeof a, 0);
  key("sched"); fprintf(out, "{\"policy\":%u,\"flags\":%llu,\"nice\":%d,\"priority\":%u,\"runtime\":%llu,\"deadline\":%llu,\"period\":%llu}", a.policy,
    (unsigned long long)a.flags, a.nice, a.priority, (unsigned long long)a.runtime, (unsigned long long)a.deadline, (unsigned long long)a.period);
  num("ioprio", syscall(SYS_ioprio_get, 1, 0));
  cpu_set_t set; sched_getaffinity(0, sizeof set, &set);
  key("cpus"); fputc('[', out);
  for (int i = 0, first = 1; i < CPU_SETSIZE; i++)
    if (CPU_ISSET(i, &set)) { fprintf(out, "%s%d", first ? "" : ",", i); first = 0; }
  fputc(']', out);
  unsigned long nodes = 0; int mode = -1;
  syscall(SYS_get_mempolicy, &mode, &nodes, 64, 0, 0);
  key("memoryPolicy"); fprintf(out, "{\"mode\":%d,\"nodes\":%lu}", mode, nodes);
}
static void clocks(void) {
  struct timespec m, b, r;
  clock_gettime(CLOCK_MONOTONIC, &m); clock_gettime(CLOCK_BOOTTIME, &b); clock_gettime(CLOCK_REALTIME, &r);
  key("clocks"); fprintf(out, "{\"monotonic\":%lld.%09ld,\"boottime\":%lld.%09ld,\"realtime\":%lld.%09ld}", (long long)m.tv_sec, m.tv_nsec,
    (long long)b.tv_sec, b.tv_nsec, (long long)r.tv_sec, r.tv_nsec);
}
static void keyring(void) {
  char buf[512] = "";
  long id = syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3 /* session */, 0);
  long n = id < 0 ? -1 : syscall(SYS_keyctl, 6 /* DESCRIBE */, id, buf, sizeof buf);
  key("keyring"); fprintf(out, "{\"id\":%ld,\"description\":", id);
  if (n < 0) fputs("null}", out); else { cstr(buf); fputc('}', out); }
}
static void terminals(void) {
  key("ttys"); fputc('[', out);
  for (int fd = 0, first = 1; fd < 3; fd++) {
    char name[256] = ""; struct winsize w = { 0 };
    if (!isatty(fd)) continue;
    ttyname_r(fd, name, sizeof name); ioctl(fd, TIOCGWINSZ, &w);
    fprintf(out, "%s{\"fd\":%d,\"name\":\"%s\",\"rows\":%u,\"columns\":%u,\"foreground\":%d}", first ? "" : ",", fd, name, w.ws_row, w.ws_col, tcgetpgrp(fd));
    first = 0;
  }
  fputc(']', out);
  int c = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  key("controllingTty"); fputs(c >= 0 ? "true" : "false", out);
  if (c >= 0) close(c);
}
static void signals(void) {
  sigset_t set; unsigned long long blocked = 0, ignored = 0, handled = 0;
  sigprocmask(SIG_BLOCK, NULL, &set);
  for (int i = 1; i < 65; i++) {
    struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } sa = { 0 };
    if (sigismember(&set, i) == 1) blocked |= 1ULL << (i - 1);
    if (syscall(SYS_rt_sigaction, i, NULL, &sa, 8)) continue;
    if (sa.handler == SIG_IGN) ignored |= 1ULL << (i - 1);
    else if (sa.handler != SIG_DFL) handled |= 1ULL << (i - 1);
  }
  key("signals"); fprintf(out, "{\"blocked\":\"%016llx\",\"ignored\":\"%016llx\",\"handled\":\"%016llx\"}", blocked, ignored, handled);
}
static void namespaces(void) {
  static const char *kinds[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };
  key("ns"); fputc('{', out);
  for (int i = 0; i < 8; i++) {
    char path[64]; struct stat st;
    snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
    fprintf(out, "%s\"%s\":%llu", i ? "," : "", kinds[i], stat(path, &st) ? 0ULL : (unsigned long long)st.st_ino);
  }
  fputc('}', out);
}
static void place(void) {
  char buf[4096]; struct utsname u; uname(&u);
  key("cwd");
  if (syscall(SYS_getcwd, buf, sizeof buf) < 0) fputs("null", out); else cstr(buf);
  link_target("root", "/proc/self/root"); link_target("exe", "/proc/self/exe");
  key("hostname"); cstr(u.nodename); key("domainname"); cstr(u.domainname); key("machine"); cstr(u.machine);
}

int main(int argc, char **argv) {
  int hold = 0; const char *to = NULL;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--hold")) hold = 1;
    if (!strcmp(argv[i], "--to") && i + 1 < argc) to = argv[++i];
  }
  out = to ? fopen(to, "we") : stdout;
  if (!out) { fprintf(stderr, "probe: %s: %s\n", to, strerror(errno)); return 1; }
  setvbuf(out, NULL, _IOFBF, 1 << 20);
  fprintf(out, "{\"pid\":%d,\"ppid\":%d,\"pgid\":%d,\"sid\":%d", getpid(), getppid(), getpgid(0), getsid(0));
  descriptors(); identity(); capabilities(); controls(); limits(); scheduling(); clocks(); keyring(); terminals(); signals(); namespaces(); place();
  list("argv", argv); list("env", environ);
  text_file("status", "/proc/self/status"); text_file("oomScoreAdj", "/proc/self/oom_score_adj"); text_file("cgroup", "/proc/self/cgroup");
  text_file("mountinfo", "/proc/self/mountinfo"); text_file("uidMap", "/proc/self/uid_map"); text_file("gidMap", "/proc/self/gid_map");
  text_file("setgroups", "/proc/self/setgroups"); text_file("timensOffsets", "/proc/self/timens_offsets"); text_file("attr", "/proc/self/attr/current");
  fputs("}\n", out);
  fflush(out);
  if (hold) for (;;) pause();
  return 0;
}
