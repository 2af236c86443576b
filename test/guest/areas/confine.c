/* seccomp(2), Landlock and capabilities as a program inside uses them, to confine itself or a child. */
#include "tell.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

static int load(unsigned action, int number, unsigned flags) {
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, action),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {4, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static volatile sig_atomic_t trapped;
static void on_trap(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  trapped = info->si_syscall;
}

static int refused(void) {
  struct utsname name;
  TELL("filter", load(SECCOMP_RET_ERRNO | EXDEV, SYS_getppid, 0));
  TELL("refused", syscall(SYS_getppid));
  TELL("filter of a call that the sentry answers", load(SECCOMP_RET_ERRNO | ENOTBLK, SYS_uname, SECCOMP_FILTER_FLAG_LOG));
  TELL("refused", uname(&name));
  VALUE("mode", "%d", prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
  return 0;
}

static int traps(void) {
  sigaction(SIGSYS, &(struct sigaction){.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, NULL);
  TELL("filter", load(SECCOMP_RET_TRAP, SYS_getppid, 0));
  syscall(SYS_getppid);
  VALUE("SIGSYS", "%d", trapped == SYS_getppid);
  return 0;
}

static int killed(void) {
  load(SECCOMP_RET_KILL_PROCESS, SYS_getppid, 0);
  syscall(SYS_getppid);
  return 0;
}

static int strict(void) {
  fflush(stdout);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0) < 0) return VALUE("strict mode", "%s", strerrorname_np(errno)), 1;
  write(1, "strict\n", 7);
  getpid();
  return 0;
}

static int listens(void) {
  TELL("a listener of its own", load(SECCOMP_RET_USER_NOTIF, SYS_getppid, SECCOMP_FILTER_FLAG_NEW_LISTENER));
  uint32_t action = SECCOMP_RET_KILL_PROCESS;
  TELL("SECCOMP_GET_ACTION_AVAIL", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
  TELL("bad flags", load(SECCOMP_RET_ALLOW, 0, 1u << 30));
  return 0;
}

static int landlock(void) {
  struct landlock_ruleset_attr attributes = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE};
  VALUE("Landlock", "%d", syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0);
  int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
  TELL("ruleset", rules);
  struct landlock_path_beneath_attr beneath = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE, .parent_fd = open("/etc", O_PATH)};
  TELL("rule", syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0));
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  TELL("restrict", syscall(SYS_landlock_restrict_self, rules, 0));
  TELL("allowed", open("/etc/passwd", O_RDONLY));
  TELL("not to write", open("/etc/passwd", O_WRONLY));
  TELL("elsewhere", open("/usr/bin/env", O_RDONLY));
  TELL("in the volume", open("/volume/x", O_CREAT | O_WRONLY, 0600));
  return 0;
}

int main(void) {
  VALUE("errno", "%d", inside(refused));
  VALUE("trap", "%d", inside(traps));
  VALUE("kill", "%d", inside(killed) == -SIGSYS);
  VALUE("strict", "%d", inside(strict) == -SIGKILL);
  VALUE("listener", "%d", inside(listens));
  VALUE("Landlock", "%d", inside(landlock));
  VALUE("a nested sandbox of file descriptors", "%ld", syscall(SYS_close_range, 100, 200, 0));
  return 0;
}
