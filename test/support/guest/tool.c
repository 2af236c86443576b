/*
 * tool ACTION ...: single acts that a shell cannot do. Every action prints `ok ...` or `errno NUMBER NAME` and ends with 0,
 * unless it is described otherwise.
 *   syscall NR ARG...        a raw call; an argument is a number, or s:TEXT for a pointer to TEXT; prints `ok RESULT`
 *   open FLAGS PATH          open with r, w (truncate), a (append)
 *   overwrite PATH SECONDS   tries for that long to open PATH for writing and to change it; prints what happened last
 *   alloc MIB                touches that much memory, prints `ok`, waits for a signal
 *   tiocsti                  pushes a character into the terminal on standard input
 *   cwdescape                looks for the host's root through the current directory and every open descriptor
 *   signals                  prints `ready`, then `signal N` for each signal that arrives; ends at SIGUSR2
 *   readmem PID              opens /proc/PID/mem and attaches by ptrace
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int result(long r) {
  if (r < 0) printf("errno %d %s\n", errno, strerrorname_np(errno) ? strerrorname_np(errno) : "?");
  else printf("ok %ld\n", r);
  fflush(stdout);
  return 0;
}

static int raw_syscall(char **argv) {
  long a[7] = { 0 };
  for (int i = 0; i < 7 && argv[i]; i++) a[i] = strncmp(argv[i], "s:", 2) ? strtol(argv[i], NULL, 0) : (long)(argv[i] + 2);
  return result(syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]));
}

static int do_open(const char *flags, const char *path) {
  int mode = *flags == 'w' ? O_WRONLY | O_TRUNC : *flags == 'a' ? O_WRONLY | O_APPEND : O_RDONLY;
  int fd = open(path, mode | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0) close(fd);
  return result(fd < 0 ? fd : 0);
}

static int overwrite(const char *path, double seconds) {
  struct timespec start, now;
  int last = 0, opened = 0;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
      opened = 1;
      if (write(fd, "#!/bin/pwned\n", 13) < 0) last = errno;
      close(fd);
    } else last = errno;
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((now.tv_sec - start.tv_sec) + (now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
  printf("opened=%d errno=%d %s\n", opened, last, last ? strerrorname_np(last) : "");
  return 0;
}

static int alloc(size_t mib) {
  char *p = malloc(mib << 20);
  if (!p) return result(-1);
  for (size_t i = 0; i < mib << 20; i += 4096) p[i] = 1;
  result(0);
  pause();
  return 0;
}

static int cwdescape(void) {
  struct stat root, st;
  char path[64];
  int found = 0;
  stat("/", &root);
  for (int fd = -1; fd < 1024; fd++) {
    int dir = fd < 0 ? open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : fd;
    if (fstat(dir, &st) || !S_ISDIR(st.st_mode)) continue;
    for (int up = 0; up < 40; up++) {
      int next = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (next < 0) break;
      if (dir > 2 && dir != fd) close(dir);
      dir = next;
    }
    if (!fstat(dir, &st) && (st.st_dev != root.st_dev || st.st_ino != root.st_ino)) { printf("escaped through %d\n", fd); found = 1; }
  }
  for (int fd = 3; fd < 1024; fd++) {
    snprintf(path, sizeof path, "/proc/self/fd/%d/etc/debian_version", fd);
    if (access(path, F_OK) == 0) { printf("host file through %d\n", fd); found = 1; }
  }
  if (!found) puts("contained");
  return 0;
}

static int signals(void) {
  sigset_t all;
  int sig;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  puts("ready"); fflush(stdout);
  while (!sigwait(&all, &sig)) {
    printf("signal %d\n", sig); fflush(stdout);
    if (sig == SIGUSR2) break;
  }
  return 0;
}

static int readmem(int pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  printf("mem %s\n", fd < 0 ? strerrorname_np(errno) : "ok");
  long r = ptrace(PTRACE_SEIZE, pid, 0, 0);
  printf("ptrace %s\n", r < 0 ? strerrorname_np(errno) : "ok");
  return 0;
}

int main(int argc, char **argv) {
  const char *action = argc > 1 ? argv[1] : "";
#define IS(name, n) (!strcmp(action, name) && argc >= 2 + (n))
  if (IS("syscall", 1)) return raw_syscall(argv + 2);
  if (IS("open", 2)) return do_open(argv[2], argv[3]);
  if (IS("overwrite", 2)) return overwrite(argv[2], atof(argv[3]));
  if (IS("alloc", 1)) return alloc(atol(argv[2]));
  if (IS("tiocsti", 0)) return result(ioctl(0, TIOCSTI, "x"));
  if (IS("cwdescape", 0)) return cwdescape();
  if (IS("signals", 0)) return signals();
  if (IS("readmem", 1)) return readmem(atoi(argv[2]));
  fprintf(stderr, "tool: unknown action %s\n", action);
  return 2;
}
