// Makes system calls, each in a child of its own, and tells how they ended. For policies: which of all numbers get through, and how others fail.
//
// Standard input: lines of `ENTRY NUMBER ARGUMENT...` with ENTRY `syscall` or `int80`, numbers decimal or 0x, up to six arguments (others are 0).
// Standard output: for each `NUMBER returned VALUE`, `NUMBER signal N`, `NUMBER exited N` or `NUMBER blocked`. Standard input is empty for the calls.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CALLS = 4096, PATIENCE_MS = 150 };

struct call {
  int int80;
  uint32_t nr;
  uint64_t args[6];
};

static struct call calls[MAX_CALLS];

static volatile struct {
  long result;
  int returned;
} *shared;

static long by_syscall(const struct call *c) {
  register long r10 __asm__("r10") = (long)c->args[3];
  register long r8 __asm__("r8") = (long)c->args[4];
  register long r9 __asm__("r9") = (long)c->args[5];
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"((uint64_t)c->nr), "D"(c->args[0]), "S"(c->args[1]), "d"(c->args[2]), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static long by_int80(const struct call *c) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"((uint64_t)c->nr), "b"(c->args[0]), "c"(c->args[1]), "d"(c->args[2]), "S"(c->args[3]), "D"(c->args[4])
                   : "r8", "r9", "r10", "r11", "memory");
  return (int32_t)result;
}

static void child(const struct call *c) {
  // A file of its own: fchmod(0, 0) is among the calls, and made by root it would close the host's null device to everybody.
  int empty = memfd_create("empty", MFD_CLOEXEC);
  if (empty < 0 || dup2(empty, 0) < 0) _exit(99);
  pid_t self = getpid();
  long result = c->int80 ? by_int80(c) : by_syscall(c);
  if (getpid() == self) { // not a second child that fork has made
    shared->result = result;
    shared->returned = 1;
  }
  _exit(0);
}

static void perform(const struct call *c) {
  shared->returned = 0;
  pid_t pid = fork();
  if (pid < 0) {
    perror("fork");
    exit(2);
  }
  if (pid == 0) child(c);
  int status = 0;
  int ended = 0;
  for (int waited = 0; !ended && waited < PATIENCE_MS * 10; waited++) {
    ended = waitpid(pid, &status, WNOHANG) == pid;
    if (!ended) nanosleep(&(struct timespec){0, 100 * 1000}, NULL);
  }
  if (!ended) {
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
  }
  while (waitpid(-1, NULL, WNOHANG) > 0) {}
  if (shared->returned) printf("%u returned %ld\n", c->nr, shared->result);
  else if (!ended) printf("%u blocked\n", c->nr);
  else if (WIFSIGNALED(status)) printf("%u signal %d\n", c->nr, WTERMSIG(status));
  else printf("%u exited %d\n", c->nr, WEXITSTATUS(status));
}

static int parse(char *line, struct call *c) {
  char *rest;
  char *entry = strtok_r(line, " \n", &rest);
  if (!entry) return 0;
  *c = (struct call){.int80 = strcmp(entry, "int80") == 0};
  c->nr = (uint32_t)strtoul(strtok_r(NULL, " \n", &rest), NULL, 0);
  char *word;
  for (int i = 0; i < 6 && (word = strtok_r(NULL, " \n", &rest)); i++) c->args[i] = strtoull(word, NULL, 0);
  return 1;
}

int main(void) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 2;
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  char line[512];
  int count = 0;
  while (count < MAX_CALLS && fgets(line, sizeof line, stdin)) count += parse(line, &calls[count]);
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int i = 0; i < count; i++) perform(&calls[i]);
  return 0;
}
