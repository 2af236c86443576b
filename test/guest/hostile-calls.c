/*
 * Random system calls with random arguments: `calls SEED SECONDS DIRECTORY...`. Children make them while threads of theirs rewrite, protect and
 * unmap what the arguments point to, replace descriptors, exit and execute; memory is private, shared, read-only, and mapped from files in the
 * directories. A child that hangs is killed. At the end every other process of the pid namespace is killed, and `calls N children M` printed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hostile-guard.h"

#define PAGE 4096ul
#define PAGES 16ul
#define LAST 470
#define WORKERS 4

static uint64_t state;
static char *area;
static unsigned long *made;
static char **directories;
static int directory_count;

static uint64_t from(uint64_t *s) {
  *s ^= *s << 13;
  *s ^= *s >> 7;
  return *s ^= *s << 17;
}
static uint64_t any(void) { return from(&state); }
static uint64_t below(uint64_t n) { return any() % n; }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static const char *names[] = {"a", "b", "c/d", "c", "..", "../..", ".", "", "link", "/proc/self/mem", "/proc/self/root", "/proc/1/mem", "/dev/pts/0", "/dev/ptmx", "/proc/sysrq-trigger"};

static uint64_t argument(void) {
  static const uint64_t values[] = {0, 1, 2, 3, ~0ull, ~0ull >> 1, 1ull << 63, 0xffffffff, 0x80000000, 0x7fffffff, 4095, 4096, 1ull << 32, 0xffff800000000000ull, 0x7ffffffff000ull, -100, 0x100000000ull};
  switch (below(6)) {
    case 0: return values[below(sizeof values / sizeof *values)];
    case 1: return below(24); /* descriptors, small sizes and commands */
    case 2: return (uint64_t)area + below(PAGES) * PAGE + (below(2) ? PAGE - below(64) : below(PAGE));
    case 3: return (uint64_t)names[below(sizeof names / sizeof *names)];
    case 4: return 1ull << below(64);
    default: return any();
  }
}

/* Calls that would end the fuzzer rather than what it attacks, if they were made with any argument: they go to the child itself. */
static int aims_at_a_process(long nr) {
  return nr == SYS_kill || nr == SYS_tkill || nr == SYS_tgkill || nr == SYS_rt_sigqueueinfo || nr == SYS_rt_tgsigqueueinfo || nr == SYS_ptrace || nr == SYS_prlimit64 || nr == SYS_setpriority || nr == SYS_process_vm_writev;
}

static void make_call(void) {
  static const long trapped[] = {SYS_uname, SYS_sysinfo, SYS_sync, SYS_ptrace};
  long nr = below(3) == 0 ? trapped[below(4)] : (long)below(LAST);
  uint64_t a[6];
  for (int i = 0; i < 6; i++) a[i] = argument();
  if ((nr == SYS_exit || nr == SYS_exit_group) && below(20) != 0) return;
  if (nr == SYS_pidfd_send_signal || (nr == SYS_shmget && a[1] > PAGES * PAGE)) return;
  if (nr == SYS_ptrace && below(2) == 0) a[0] = 0; /* PTRACE_TRACEME, which traps */
  else if (aims_at_a_process(nr)) a[nr == SYS_ptrace ? 1 : 0] = getpid();
  if (nr == SYS_setpriority) a[0] = 0, a[1] = 0;
  syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
  __atomic_add_fetch(made, 1, __ATOMIC_RELAXED);
}

/* A page of the area becomes another: private, read-only, shared, a file's, or none. */
static void remap(uint64_t *s) {
  char *page = area + from(s) % PAGES * PAGE;
  char path[256];
  int fd = -1;
  switch (from(s) % 6) {
    case 0: munmap(page, PAGE); return;
    case 1: mprotect(page, PAGE, from(s) % 8); return;
    case 2: mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1, 0); return;
    case 3: mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); return;
    default:
      snprintf(path, sizeof path, "%s/mapped%d", directories[from(s) % directory_count], (int)(from(s) % 4));
      fd = open(path, O_RDWR | O_CREAT, 0600);
      if (fd < 0) return;
      /* Now and then the file ends before the page: SIGBUS, and EFAULT for whoever reads it from outside. */
      if (ftruncate(fd, from(s) % 3 == 0 ? 0 : PAGE) == 0) mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | (from(s) % 2 ? MAP_SHARED : MAP_PRIVATE), fd, 0);
      close(fd);
  }
}

static void *race(void *seed) {
  uint64_t s = (uint64_t)seed | 1;
  for (;;) {
    switch (from(&s) % 16) {
      case 0: dup2(from(&s) % 8, 3 + from(&s) % 20); break;
      case 1: close(3 + from(&s) % 20); break;
      case 2: if (from(&s) % 50000 == 0) _exit(0); break;
      case 3:
        if (from(&s) % 50000 == 0) execl("/try", "try", "uid", (char *)NULL);
        break;
      case 4: case 5: case 6: case 7: case 8: remap(&s); break;
      /* The kernel copies: memory that is not there is an error, and no signal. */
      default: { char *at = area + from(&s) % (PAGES * PAGE - 8); syscall(SYS_getrandom, at, 8, 1); }
    }
  }
  return NULL;
}

static void nothing(int signal) { (void)signal; }

/* A call that waits is interrupted. */
static void interrupt_calls(void) {
  struct sigaction action = {.sa_handler = nothing};
  struct itimerval often = {{0, 5000}, {0, 5000}};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
}

/* Whose child, made with CLONE_PARENT, ends gets whatever signal it was made with; and there are timers, owners of descriptors, and more. */
static void on_signals(void (*handler)(int)) {
  for (int number = 1; number < 65; number++)
    if (number != SIGCHLD) signal(number, handler);
}

static void child(uint64_t seed) {
  state = seed | 1;
  on_signals(SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  /* Memory that outlives its process is the next one's lack. */
  struct rlimit small = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_FSIZE, &small);
  signal(SIGXFSZ, SIG_IGN);
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  sigaction(SIGPIPE, &ignore, NULL);
  close(0);
  open("/dev/null", O_RDWR);
  for (int fd = 1; fd < 8; fd++) dup2(0, fd);
  /* Between pages that nothing is written to: what overruns it is not to count for calls. */
  area = (char *)mmap(NULL, (PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + PAGE;
  if (chdir(directories[below(directory_count)]) < 0) _exit(1);
  for (int i = 0; i < 2; i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, race, (void *)any());
  }
  for (;;) {
    if (below(16) == 0) interrupt_calls();
    make_call();
  }
}

int main(int argc, char **argv) {
  only_in_a_sandbox();
  if (argc < 4) return 2;
  on_signals(SIG_IGN);
  uint64_t seeds = strtoull(argv[1], NULL, 0) * 2654435761u + 1;
  double end = now() + atof(argv[2]);
  directories = argv + 3;
  directory_count = argc - 3;
  made = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct { pid_t pid; double until; } workers[WORKERS] = {0};
  long children = 0, ends[128] = {0};
  while (now() < end) {
    for (int i = 0; i < WORKERS; i++) {
      if (workers[i].pid != 0 && now() > workers[i].until) kill(workers[i].pid, SIGKILL);
      int status = 0;
      if (workers[i].pid != 0 && waitpid(workers[i].pid, &status, WNOHANG) != workers[i].pid) continue;
      ends[WIFSIGNALED(status) ? WTERMSIG(status) : 0]++;
      uint64_t seed = from(&seeds);
      pid_t pid = fork();
      if (pid == 0) child(seed);
      workers[i].pid = pid < 0 ? 0 : pid;
      workers[i].until = now() + 0.25;
      if (pid > 0) children++;
      /* What its children have left behind takes up the limit of tasks. */
      if (pid < 0) {
        kill(-1, SIGKILL);
        usleep(10000);
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
        memset(workers, 0, sizeof workers);
      }
    }
    usleep(2000);
  }
  kill(-1, SIGKILL);
  for (double late = now() + 5; now() < late && (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD);) usleep(1000);
  printf("calls %lu children %ld, ended by signal:", *made, children);
  for (int i = 0; i < 128; i++) if (ends[i] != 0) printf(" %d:%ld", i, ends[i]);
  printf("\n");
  return 0;
}
