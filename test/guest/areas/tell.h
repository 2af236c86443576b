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
#include <sys/stat.h>
#include <sys/syscall.h>
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
