/* What the bench's guest programs share. Each prints a line "group TAB name TAB unit TAB value" for each measurement. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline long must(long result, const char *what) {
  if (result < 0) fail(what);
  return result;
}

/* Nanoseconds. */
static inline double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static inline void report(const char *group, const char *name, const char *unit, double value) {
  printf("%s\t%s\t%s\t%.2f\n", group, name, unit, value);
  fflush(stdout);
}
