/* signal(7): handlers, masks, queues, stacks, restarting, faults, stopping; signals at calls that the sentry answers. */
#include "tell.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <ucontext.h>

static volatile sig_atomic_t caught, value, code, on_stack;
static volatile pid_t sender;
static char *alternative;
static sigjmp_buf back;

static void note(int signal, siginfo_t *info, void *context) {
  (void)context;
  char here;
  caught = signal;
  value = info->si_value.sival_int;
  code = info->si_code;
  sender = info->si_pid;
  on_stack = alternative != NULL && &here >= alternative && &here < alternative + 65536;
}

static void leave(int signal, siginfo_t *info, void *context) {
  note(signal, info, context);
  siglongjmp(back, 1);
}

static void handle(int signal, void (*action)(int, siginfo_t *, void *), int flags) {
  struct sigaction act = {.sa_sigaction = action, .sa_flags = SA_SIGINFO | flags};
  sigaction(signal, &act, NULL);
}

#define NOTED(what) (VALUE(what, "signal %d code %d value %d from self %d on stack %d", caught, code, value, sender == getpid(), on_stack), caught = value = code = on_stack = 0)

static void faults(void) {
  handle(SIGSEGV, leave, 0);
  handle(SIGBUS, leave, 0);
  handle(SIGFPE, leave, 0);
  handle(SIGILL, leave, 0);
  handle(SIGTRAP, leave, 0);
  if (sigsetjmp(back, 1) == 0) *(volatile int *)16 = 1;
  VALUE("write to nowhere", "%d %d", caught, code);
  char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (sigsetjmp(back, 1) == 0) *(volatile char *)page = 1;
  VALUE("write to a read-only page", "%d %d", caught, code);
  volatile int zero = 0;
  if (sigsetjmp(back, 1) == 0) zero = 1 / zero;
  VALUE("division", "%d %d", caught, code);
  if (sigsetjmp(back, 1) == 0) __asm__ volatile("ud2");
  VALUE("invalid instruction", "%d", caught);
  if (sigsetjmp(back, 1) == 0) __asm__ volatile("int3");
  VALUE("breakpoint", "%d", caught);
  TELL("uname to nowhere", uname((struct utsname *)16));
  TELL("uname to a read-only page", uname((struct utsname *)page));
}

static void queues(void) {
  sigset_t set, pending;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  for (int i = 1; i <= 3; i++) sigqueue(getpid(), SIGRTMIN, (union sigval){i});
  kill(getpid(), SIGUSR1);
  kill(getpid(), SIGUSR1);
  sigpending(&pending);
  VALUE("pending", "%d %d", sigismember(&pending, SIGRTMIN), sigismember(&pending, SIGUSR1));
  siginfo_t info;
  struct timespec none = {0, 10000000};
  while (sigtimedwait(&set, &info, &none) > 0) VALUE("waited for", "%d %d %d", info.si_signo == SIGRTMIN, info.si_code, info.si_value.sival_int);
  VALUE("then", "%s", strerrorname_np(errno));
  kill(getpid(), SIGUSR1);
  sigset_t empty;
  sigemptyset(&empty);
  handle(SIGUSR1, note, 0);
  TELL("sigsuspend", sigsuspend(&empty));
  NOTED("suspended");
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void interrupts(int flags, const char *what) {
  int ends[2];
  char byte;
  if (pipe(ends) < 0) return;
  handle(SIGALRM, note, flags);
  fflush(stdout);
  nobody_waits_yet();
  pid_t pid = fork();
  if (pid == 0) {
    until_it_waits(getppid());
    kill(getppid(), SIGALRM);
    nap(100);
    _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
  }
  about_to_wait();
  TELL(what, read(ends[0], &byte, 1));
  NOTED("handler");
  VALUE("child", "%d", ended(pid));
}

static int stops(void) {
  pid_t pid = fork();
  if (pid == 0) for (;;) pause();
  int status;
  kill(pid, SIGSTOP);
  waitpid(pid, &status, WUNTRACED);
  VALUE("stopped", "%d %d", WIFSTOPPED(status), WSTOPSIG(status));
  kill(pid, SIGCONT);
  waitpid(pid, &status, WCONTINUED);
  VALUE("continued", "%d", WIFCONTINUED(status));
  kill(pid, SIGTERM);
  return ended(pid);
}

/* The sentry answers uname: signals that come meanwhile are neither lost nor answered with the wrong result. */
static void at_emulated_calls(void) {
  static volatile sig_atomic_t count;
  struct utsname name;
  int bad = 0;
  handle(SIGUSR2, note, SA_RESTART);
  fflush(stdout);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 2000; i++) {
      kill(parent, SIGUSR2);
      if (i % 50 == 0) nap(1);
    }
    _exit(0);
  }
  while (waitpid(pid, NULL, WNOHANG) == 0) {
    memset(&name, 'x', sizeof name);
    if (uname(&name) < 0 || strcmp(name.sysname, "Linux") != 0) bad++;
    count++;
  }
  VALUE("uname under fire", "%d %d %d", bad, count > 10, caught == SIGUSR2);
  caught = 0;
  fflush(stdout);
  pid = fork();
  if (pid == 0) for (;;) uname(&name);
  nap(50);
  kill(pid, SIGKILL);
  VALUE("killed in it", "%d", ended(pid));
}

int main(void) {
  handle(SIGUSR1, note, 0);
  raise(SIGUSR1);
  NOTED("raise");
  sigqueue(getpid(), SIGUSR1, (union sigval){7});
  NOTED("sigqueue");
  alternative = malloc(65536);
  stack_t stack = {.ss_sp = alternative, .ss_size = 65536};
  TELL("sigaltstack", sigaltstack(&stack, NULL));
  handle(SIGUSR1, note, SA_ONSTACK | SA_RESETHAND);
  raise(SIGUSR1);
  NOTED("on the other stack");
  VALUE("then the default again", "%d", inside((int (*)(void))abort) == -SIGABRT);
  faults();
  queues();
  interrupts(0, "read, interrupted");
  interrupts(SA_RESTART, "read, restarted");
  VALUE("stops", "%d", inside(stops));
  at_emulated_calls();
  TELL("kill nobody", kill(4000000, 0));
  TELL("a signal too high", kill(getpid(), 65));
  TELL("SIGKILL handled", sigaction(SIGKILL, &(struct sigaction){.sa_handler = SIG_IGN}, NULL));
  signal(SIGPIPE, SIG_IGN);
  int ends[2];
  TELL("pipe", pipe(ends));
  close(ends[0]);
  TELL("write to a closed pipe", write(ends[1], "x", 1));
  signal(SIGCHLD, SIG_IGN);
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  TELL("wait while children are ignored", waitpid(pid, NULL, 0));
  return 0;
}
