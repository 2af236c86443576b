// Times system calls under a filter, for filter-cost.ts; in C because a call must cost nothing but itself.
// Standard input: struct sock_filter[] (none: no filter). Arguments: iterations, then calls as NR or NR:FIRST-ARG:THIRD-ARG.
// Standard output: nanoseconds per call, a line for each.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct sock_filter program[4096];
static double results[16];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); // without the time that other processes had the processor
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv) {
  struct sock_fprog fprog = {(unsigned short)fread(program, sizeof *program, 4096, stdin), program};
  if (argc < 2 || argc > 18) return 2;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (fprog.len > 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog)) return perror("seccomp"), 3;
  long iterations = atol(argv[1]);
  for (int i = 2; i < argc; i++) {
    char *rest;
    long number = strtol(argv[i], &rest, 10);
    long first = *rest ? strtol(rest + 1, &rest, 10) : 0;
    long third = *rest ? strtol(rest + 1, &rest, 10) : 0;
    double start = now();
    for (long n = 0; n < iterations; n++) syscall(number, first, 0L, third);
    results[i - 2] = (now() - start) / (double)iterations;
  }
  for (int i = 2; i < argc; i++) printf("%.1f\n", results[i - 2]);
  return 0;
}
