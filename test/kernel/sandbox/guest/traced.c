/* What a tracer could change for the tasks that it follows, and must not. Each line says what was seen; a name alone is an error. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *self;

static void nap(long us) {
  struct timespec time = {us / 1000000, us % 1000000 * 1000};
  nanosleep(&time, NULL);
}

/* Whether the sentry has answered: without a tracer the call is ENOSYS. */
static int answered(void) {
  struct utsname name;
  memset(&name, 0, sizeof name);
  return uname(&name) == 0 && strcmp(name.release, "6.12.0-tssandbox") == 0;
}

static int status_of(pid_t pid) {
  int status = -1;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR);
  return status;
}

static void *answered_thread(void *result) {
  *(int *)result = answered();
  return NULL;
}

static int answered_clone(void *unused) {
  (void)unused;
  _exit(answered() ? 0 : 1);
}

static void births(void) {
  int thread_result = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, answered_thread, &thread_result);
  pthread_join(thread, NULL);
  pid_t forked = fork();
  if (forked == 0) _exit(answered() ? 0 : 1);
  pid_t vforked = vfork();
  if (vforked == 0) {
    execl(self, self, "answered", NULL);
    _exit(2);
  }
  static char stack[65536] __attribute__((aligned(16)));
  pid_t cloned = clone(answered_clone, stack + sizeof stack, CLONE_VM, NULL);
  int clone_status = -1;
  waitpid(cloned, &clone_status, __WCLONE);
  printf("births: thread %d fork %d vfork and exec %d clone without a signal %d\n", thread_result, status_of(forked), status_of(vforked), clone_status);
}

static void refused(void) {
  int traced = ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : errno;
  int attached = ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0 ? 0 : errno;
  long untraced = syscall(SYS_clone, 0x00800000 | SIGCHLD, 0, 0, 0, 0);
  if (untraced == 0) _exit(0);
  printf("refused: traceme %s attach %s untraced child %s\n", strerrorname_np(traced), strerrorname_np(attached), untraced < 0 ? strerrorname_np(errno) : "born");
}

static volatile int received, wrong, sum;

static void count(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  received++;
  sum += info->si_value.sival_int;
  if (info->si_code != SI_QUEUE || info->si_pid != getppid()) wrong++;
}

static void signals(void) {
  enum { TIMES = 300 };
  int ready[2];
  if (pipe(ready) < 0) return;
  pid_t child = fork();
  if (child == 0) {
    struct sigaction action = {.sa_sigaction = count, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN, &action, NULL);
    if (write(ready[1], "", 1) != 1) _exit(1);
    while (received < TIMES)
      if (!answered()) wrong++;
    printf("signals: %d wrong %d sum %d\n", received, wrong, sum);
    fflush(stdout);
    _exit(0);
  }
  char byte;
  if (read(ready[0], &byte, 1) != 1) return;
  for (int i = 0; i < TIMES; i++) {
    union sigval value = {.sival_int = i};
    while (sigqueue(child, SIGRTMIN, value) < 0 && errno == EAGAIN) nap(100);
  }
  status_of(child);
}

static void nothing(int signal) { (void)signal; }

/* Waits until a child sleeps within a call: proc_pid_stat(5). */
static void until_it_sleeps(pid_t pid) {
  char path[32], line[256] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  for (char state = 0; state != 'S'; nap(1000)) {
    FILE *file = fopen(path, "r");
    if (file == NULL) return;
    if (fgets(line, sizeof line, file) != NULL) state = strrchr(line, ')')[2];
    fclose(file);
  }
}

/* A call that is interrupted begins anew or ends, as the handler's flags say; a stop interrupts nothing. */
static void restarts(void) {
  int data[2], ready[2];
  char byte;
  if (pipe(data) < 0 || pipe(ready) < 0) return;
  for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
    pid_t child = fork();
    if (child == 0) {
      struct sigaction action = {.sa_handler = nothing, .sa_flags = flags};
      sigaction(SIGUSR1, &action, NULL);
      if (write(ready[1], "", 1) != 1) _exit(1);
      _exit(read(data[0], &byte, 1) == 1 ? 0 : errno);
    }
    if (read(ready[0], &byte, 1) != 1) return;
    until_it_sleeps(child);
    kill(child, SIGUSR1);
    nap(100000);
    if (flags != 0 && write(data[1], "x", 1) != 1) return;
    printf("read with flags %#x: %d\n", flags, WEXITSTATUS(status_of(child)));
  }
  pid_t sleeper = fork();
  if (sleeper == 0) {
    struct timespec time = {0, 300000000};
    _exit(nanosleep(&time, NULL) == 0 ? 0 : errno);
  }
  nap(50000);
  kill(sleeper, SIGSTOP);
  nap(50000);
  kill(sleeper, SIGCONT);
  printf("sleep over a stop: %d\n", WEXITSTATUS(status_of(sleeper)));
}

__attribute__((noreturn)) static void *spins(void *count) {
  for (;;)
    if (answered()) ++*(volatile long *)count;
}

/* A process with two threads that make trapped calls stops as a whole, is seen to by its parent, and goes on. */
static void stops(void) {
  volatile long *made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t child = fork();
  if (child == 0) {
    /* SIGTSTP stops nobody in an orphaned group. */
    setpgid(0, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, spins, (void *)&made[0]);
    spins((void *)&made[1]);
  }
  while (made[0] == 0 || made[1] == 0) nap(1000);
  int status = 0, ran = 0;
  for (int i = 0; i < 20; i++) {
    kill(child, i % 2 == 0 ? SIGSTOP : SIGTSTP);
    waitpid(child, &status, WUNTRACED);
    if (!WIFSTOPPED(status)) break;
    long before = made[0] + made[1];
    nap(5000);
    ran += made[0] + made[1] != before;
    kill(child, SIGCONT);
    waitpid(child, &status, WCONTINUED);
    if (!WIFCONTINUED(status)) break;
  }
  printf("stops: continued %d ran while stopped %d\n", WIFCONTINUED(status) != 0, ran);
  kill(child, SIGSTOP);
  waitpid(child, &status, WUNTRACED);
  kill(child, SIGKILL);
  printf("killed in its stop: %d\n", WTERMSIG(status_of(child)));
}

/* Ends at any moment of a call. */
static void ends(void) {
  int killed = 0, exited = 0;
  for (int i = 0; i < 200; i++) {
    pid_t child = fork();
    if (child == 0) {
      static long unused;
      pthread_t thread;
      pthread_create(&thread, NULL, spins, &unused);
      for (int k = 0; k < 3 + i % 20; k++) answered();
      if (i % 2 == 0) _exit(7);
      spins(&unused);
    }
    if (i % 2 != 0) {
      nap(300 + 37 * i);
      kill(child, SIGKILL);
    }
    int status = status_of(child);
    killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    exited += WIFEXITED(status) && WEXITSTATUS(status) == 7;
  }
  printf("ends: killed %d exited %d\n", killed, exited);
}

static void *executes(void *busy) {
  nap(2000);
  char *leader = busy == NULL ? "answered" : "busy";
  execl(self, self, leader, NULL);
  return NULL;
}

/* A thread becomes the program, and its leader, while that waits, or makes calls. Whoever is taken over within one may be killed for it. */
static void takes_over(int busy) {
  int fine = 0, killed = 0;
  for (int i = 0; i < 60; i++) {
    pid_t child = fork();
    if (child == 0) {
      static long unused;
      pthread_t thread;
      pthread_create(&thread, NULL, executes, NULL);
      if (busy) spins(&unused);
      for (;;) pause();
    }
    int status = status_of(child);
    fine += status == 0;
    killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }
  if (busy) printf("taken over while busy: %d, some of them whole: %d\n", fine + killed, fine > 0);
  else printf("taken over: %d\n", fine);
}

int main(int argc, char **argv) {
  self = argv[0];
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1) return answered() ? 0 : 1;
  births();
  refused();
  signals();
  restarts();
  stops();
  ends();
  takes_over(0);
  takes_over(1);
  return 0;
}
