/* fork(2), clone(2), wait(2), sessions, credentials, limits, priorities, pidfds, prctl(2). */
#include "tell.h"
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/fsuid.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <sys/utsname.h>

static int child_of_child(void) {
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 2000 && getppid() != 1; i++) nap(5);
    _exit(getppid() == 1 ? 11 : 12);
  }
  _exit(0);
}

static int sessions(void) {
  TELL("setpgid of self", setpgid(0, 0));
  VALUE("group is self", "%d", getpgrp() == getpid());
  TELL("setsid of a group leader", setsid());
  pid_t pid = fork();
  if (pid == 0) {
    TELL("setsid of a child", setsid());
    VALUE("session is self", "%d %d", getsid(0) == getpid(), getpgid(0) == getpid());
    TELL("setpgid of a session leader", setpgid(0, getppid()));
    _exit(0);
  }
  return ended(pid);
}

static int identities(void) {
  gid_t groups[] = {7, 8, 9};
  TELL("setgroups", setgroups(3, groups));
  VALUE("getgroups", "%d", getgroups(0, NULL));
  TELL("setresgid", setresgid(5, 6, 7));
  TELL("setfsuid", setfsuid(3));
  TELL("setresuid", setresuid(1000, 1000, 0));
  VALUE("ids", "%u %u %u %u", getuid(), geteuid(), getgid(), getegid());
  TELL("seteuid back to root", seteuid(0));
  TELL("setresuid for good", setresuid(1000, 1000, 1000));
  TELL("setuid(0) afterwards", setuid(0));
  TELL("setgroups without the right to", setgroups(0, NULL));
  TELL("kill init", kill(1, 0));
  TELL("chown", chown("/etc/passwd", 0, 0));
  TELL("open shadow", open("/etc/shadow", O_RDONLY));
  TELL("an id that is not mapped", setuid(1 << 20));
  return 0;
}

static int with_clone(void *word) {
  *(volatile int *)word = 42;
  _exit(9);
}

static void clones(void) {
  static char stack[65536] __attribute__((aligned(16)));
  volatile int word = 0;
  pid_t pid = clone(with_clone, stack + sizeof stack, CLONE_VM | SIGCHLD, (void *)&word);
  int code = ended(pid);
  VALUE("clone shares memory", "%d %d", code, word);
  pid = vfork();
  if (pid == 0) _exit(3);
  VALUE("vfork", "%d", ended(pid));
  int fd = -1;
  pid = clone(with_clone, stack + sizeof stack, CLONE_VM | CLONE_PIDFD | SIGCHLD, (void *)&word, &fd);
  siginfo_t info = {0};
  TELL("waitid of a pidfd", waitid(P_PIDFD, fd, &info, WEXITED));
  VALUE("ended", "%d %d %d", info.si_code, info.si_status, info.si_pid == pid);
  TELL("wait again", waitid(P_PIDFD, fd, &info, WEXITED));
}

static void pidfds(void) {
  pid_t pid = fork();
  if (pid == 0) pause();
  int fd = pidfd_open(pid, 0);
  TELL("pidfd_open", fd);
  TELL("pidfd_send_signal", pidfd_send_signal(fd, SIGKILL, NULL, 0));
  VALUE("killed", "%d", ended(pid));
  TELL("to the dead", pidfd_send_signal(fd, 0, NULL, 0));
  TELL("pidfd of nobody", pidfd_open(4000000, 0));
}

static void limits(void) {
  struct rlimit limit;
  for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
    /* What root of the host may exceed, or what each user namespace counts by itself. */
    if (resource == RLIMIT_NPROC || resource == RLIMIT_SIGPENDING) continue;
    getrlimit(resource, &limit);
    printf("limit %d: %lld %lld\n", resource, (long long)limit.rlim_cur, (long long)limit.rlim_max);
  }
  limit.rlim_cur = 100;
  limit.rlim_max = 512;
  TELL("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
  TELL("dup beyond", dup2(0, 100));
  TELL("prlimit of init", prlimit(1, RLIMIT_NOFILE, NULL, &limit));
  struct rusage usage;
  TELL("getrusage", getrusage(RUSAGE_CHILDREN, &usage));
  struct tms buffer;
  VALUE("times", "%d", times(&buffer) > 0);
}

/* Many calls that may trap, after which a sandbox may have chosen a processor for the task: neither it nor a child sees that, nor is it in the way of a choice. */
static void keeps_its_processors(void) {
  cpu_set_t before, after;
  struct utsname name;
  int status;
  sched_getaffinity(0, sizeof before, &before);
  for (int i = 0; i < 200; i++) uname(&name);
  sched_getaffinity(0, sizeof after, &after);
  VALUE("the same processors", "%d", CPU_EQUAL(&before, &after));
  for (int i = 0; i < 200; i++) uname(&name);
  if (fork() == 0) _exit(sched_getaffinity(0, sizeof after, &after) != 0 || !CPU_EQUAL(&before, &after));
  VALUE("a child's", "%d", wait(&status) > 0 && status == 0);
  for (int i = 0; i < 200; i++) uname(&name);
  CPU_ZERO(&after);
  CPU_SET(sched_getcpu(), &after);
  TELL("setaffinity to one", sched_setaffinity(0, sizeof after, &after));
  for (int i = 0; i < 200; i++) uname(&name);
  sched_getaffinity(0, sizeof after, &after);
  VALUE("one", "%d", CPU_COUNT(&after));
  TELL("setaffinity to all", sched_setaffinity(0, sizeof before, &before));
}

static void scheduling(void) {
  struct sched_param parameter = {1};
  cpu_set_t set;
  TELL("setpriority down", setpriority(PRIO_PROCESS, 0, 5));
  VALUE("getpriority", "%d", getpriority(PRIO_PROCESS, 0));
  TELL("setpriority up", setpriority(PRIO_PROCESS, 0, -5));
  TELL("real time", sched_setscheduler(0, SCHED_FIFO, &parameter));
  parameter.sched_priority = 0;
  TELL("batch", sched_setscheduler(0, SCHED_BATCH, &parameter));
  VALUE("policy", "%d %d..%d", sched_getscheduler(0), sched_get_priority_min(SCHED_RR), sched_get_priority_max(SCHED_RR));
  TELL("getaffinity", sched_getaffinity(0, sizeof set, &set));
  TELL("setaffinity", sched_setaffinity(0, sizeof set, &set));
  CPU_ZERO(&set);
  TELL("setaffinity to none", sched_setaffinity(0, sizeof set, &set));
  keeps_its_processors();
  TELL("yield", sched_yield());
  VALUE("getcpu", "%d", sched_getcpu() >= 0);
  TELL("ioprio", syscall(SYS_ioprio_set, 1, 0, 3 << 13));
}

static void controls(void) {
  char name[16] = "";
  TELL("set name", prctl(PR_SET_NAME, "a name", 0, 0, 0));
  TELL("get name", prctl(PR_GET_NAME, name, 0, 0, 0));
  VALUE("name", "%s", name);
  VALUE("dumpable", "%d", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
  TELL("subreaper", prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  TELL("death signal", prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
  VALUE("no new privileges", "%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  VALUE("seccomp", "%d", prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0);
  TELL("bounding set", prctl(PR_CAPBSET_DROP, 0, 0, 0, 0));
  VALUE("securebits", "%d", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
  TELL("timer slack", prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0));
  TELL("unknown", prctl(4711, 0, 0, 0, 0));
  VALUE("personality", "%x", personality(0xffffffff));
  TELL("no randomization", personality(ADDR_NO_RANDOMIZE));
}

int main(void) {
  VALUE("first pids", "%d %d", getpid() > 0, gettid() == getpid());
  VALUE("exit code", "%d", inside(child_of_child));
  VALUE("sessions", "%d", inside(sessions));
  VALUE("identities", "%d", inside(identities));
  clones();
  pidfds();
  controls();
  VALUE("orphan comes to the subreaper", "%d %d", inside(child_of_child), ended(-1));
  TELL("wait for nobody", wait(NULL));
  limits();
  scheduling();
  struct utsname name;
  TELL("uname", uname(&name));
  VALUE("system", "%s %s %s", name.sysname, name.machine, name.nodename);
  char host[64] = "";
  TELL("gethostname", gethostname(host, sizeof host));
  VALUE("host", "%s", host);
  TELL("sethostname", sethostname("x", 1));
  TELL("unshare", unshare(CLONE_NEWNS));
  TELL("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
  TELL("umask", umask(027));
  VALUE("umask", "%o", umask(0));
  return 0;
}
