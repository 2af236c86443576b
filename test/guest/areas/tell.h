/* What the programs of this directory share. Each prints one line an observation; run natively and in a sandbox, the lines must be the same. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The result of a call: ok or the errno's name. */
#define TELL(what, call) (errno = 0, (void)((long)(call) < 0 ? printf("%s: %s\n", what, strerrorname_np(errno)) : printf("%s: ok\n", what)), (void)fflush(stdout))
#define VALUE(what, ...) (printf("%s: ", what), printf(__VA_ARGS__), (void)puts(""), (void)fflush(stdout))

static inline void nap(int milliseconds) {
  struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
  while (nanosleep(&time, &time) < 0) {}
}

/* Shared with children: whether the one of the two that is to wait is about to. */
static volatile int *about __attribute__((unused));

/* To be called before the fork. */
static inline void nobody_waits_yet(void) {
  if (about == NULL) about = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  *about = 0;
}

/* The next call of the caller's waits. */
static inline void about_to_wait(void) { *about = 1; }

/* Returns once the other process is in that call, asleep: proc_pid_stat(5). */
static inline void until_it_waits(pid_t pid) {
  char path[32], line[256];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  while (*about == 0) nap(1);
  for (char state = 0; state != 'S'; nap(1)) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return;
    ssize_t got = read(fd, line, sizeof line - 1);
    close(fd);
    line[got < 0 ? 0 : got] = 0;
    char *name_end = strrchr(line, ')');
    state = name_end == NULL ? 0 : name_end[2];
  }
}

/* SIGALRM again and again, since the first may come before the call that it is to interrupt; `rung`, with that call's result, ends it. */
static inline void ring_every(int milliseconds) {
  struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};
  setitimer(ITIMER_REAL, &(struct itimerval){time, time}, NULL);
}

static inline int rung(int result) {
  int error = errno;
  setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
  errno = error;
  return result;
}

/* How a child ended: its exit code, or its signal as a negative number. */
static inline int ended(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Runs a function in a child. */
static inline int inside(int (*run)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    int code = run();
    fflush(stdout);
    _exit(code);
  }
  return ended(pid);
}
