/* ptrace(2) as a debugger uses it: children traced and attached to, calls followed and changed, memory and registers. */
#include "tell.h"
#include <sys/ptrace.h>
#include <sys/reg.h>
#include <sys/user.h>
#include <sys/utsname.h>

static volatile long word = 1;

static int traced(void) {
  TELL("PTRACE_TRACEME", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
  fflush(stdout);
  raise(SIGSTOP);
  syscall(SYS_getppid);
  struct utsname name = {0};
  uname(&name);
  return (int)word;
}

static pid_t start(int (*run)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    int code = run();
    fflush(stdout);
    _exit(code);
  }
  return pid;
}

static void follows(void) {
  int status;
  pid_t pid = start(traced);
  waitpid(pid, &status, 0);
  VALUE("stopped", "%d %d", WIFSTOPPED(status), WSTOPSIG(status));
  TELL("options", ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
  TELL("peek", (errno = 0, word = ptrace(PTRACE_PEEKDATA, pid, &word, NULL), errno == 0 ? 0 : -1));
  VALUE("word", "%ld", word);
  TELL("poke", ptrace(PTRACE_POKEDATA, pid, &word, 23));
  int seen_getppid = 0, seen_uname = 0;
  for (;;) {
    ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
    if (waitpid(pid, &status, 0) < 0 || WIFEXITED(status) || WIFSIGNALED(status)) break;
    struct user_regs_struct registers;
    ptrace(PTRACE_GETREGS, pid, NULL, &registers);
    seen_getppid += registers.orig_rax == SYS_getppid;
    seen_uname += registers.orig_rax == SYS_uname;
  }
  VALUE("calls seen", "%d %d", seen_getppid, seen_uname);
  VALUE("ended", "%d %d", WIFEXITED(status), WEXITSTATUS(status));
}

static int asks(void) {
  ptrace(PTRACE_TRACEME, 0, NULL, NULL);
  raise(SIGSTOP);
  errno = 0;
  long result = syscall(SYS_getppid);
  return result == 77 ? 1 : errno;
}

/* A tracer changes a call into another: a filter sees what it has become. */
static int changed_into(long number, long result) {
  int status;
  pid_t pid = start(asks);
  waitpid(pid, &status, 0);
  struct user_regs_struct registers;
  ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
  waitpid(pid, &status, 0);
  ptrace(PTRACE_GETREGS, pid, NULL, &registers);
  registers.orig_rax = (unsigned long)number;
  registers.rdi = 0;
  ptrace(PTRACE_SETREGS, pid, NULL, &registers);
  ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
  waitpid(pid, &status, 0);
  if (result != 0) {
    ptrace(PTRACE_GETREGS, pid, NULL, &registers);
    registers.rax = (unsigned long)result;
    ptrace(PTRACE_SETREGS, pid, NULL, &registers);
  }
  ptrace(PTRACE_DETACH, pid, NULL, NULL);
  return ended(pid);
}

static int waits(void) {
  nap(10000);
  return 1;
}

static void attaches(void) {
  int status;
  pid_t pid = start(waits);
  TELL("attach", ptrace(PTRACE_ATTACH, pid, NULL, NULL));
  waitpid(pid, &status, 0);
  VALUE("stopped", "%d", WSTOPSIG(status));
  siginfo_t info;
  TELL("siginfo", ptrace(PTRACE_GETSIGINFO, pid, NULL, &info));
  TELL("detach", ptrace(PTRACE_DETACH, pid, NULL, NULL));
  TELL("seize", ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT));
  TELL("interrupt", ptrace(PTRACE_INTERRUPT, pid, NULL, NULL));
  waitpid(pid, &status, 0);
  TELL("step", ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
  kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) == pid && !WIFSIGNALED(status)) ptrace(PTRACE_CONT, pid, NULL, NULL);
  VALUE("killed", "%d", WTERMSIG(status));
  TELL("attach to nobody", ptrace(PTRACE_ATTACH, 4000000, NULL, NULL));
}

static int executes(void) {
  ptrace(PTRACE_TRACEME, 0, NULL, NULL);
  execl("/bin/true", "true", NULL);
  return 1;
}

static int may_be_traced(void) {
  return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : errno;
}

int main(void) {
  int refused = ended(start(may_be_traced));
  if (refused != 0) {
    VALUE("no task may be traced, errno", "%d", refused);
    return 0;
  }
  follows();
  VALUE("into nothing, result given", "%d", changed_into(-1, 77));
  VALUE("into a native call", "%d", changed_into(SYS_getuid, 0));
  VALUE("into a refused one", "%d", changed_into(SYS_setns, 0) != 0);
  attaches();
  int status;
  pid_t pid = start(executes);
  waitpid(pid, &status, 0);
  VALUE("exec stops", "%d", WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
  ptrace(PTRACE_CONT, pid, NULL, NULL);
  VALUE("and goes on", "%d", ended(pid));
  return 0;
}
