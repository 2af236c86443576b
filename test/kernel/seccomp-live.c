// Loads seccomp filters in children of its own and makes raw syscalls under them, for seccomp-live.test.ts. In C because
// the calls must be exactly the ones asked for: no runtime around them that makes calls of its own under the filter.
//
// Standard input, little-endian, until its end: jobs of
//   u32 flags, u32 filters, for each { u32 instructions, struct sock_filter[] }, u32 cases, for each struct call
// Standard output, for each job: i32 result of the last load (or of the first that failed, negative errno), then for
// each case, if all loads succeeded, struct outcome.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_FILTERS = 8, MAX_CASES = 4096 };

struct call {
  uint32_t int80; // 0: the syscall instruction, 1: int 0x80
  uint32_t nr;
  uint64_t args[6];
};

enum kind { RETURNED, TRAPPED, KILLED };

struct outcome {
  int32_t kind;
  int32_t value; // result, or si_errno
  uint32_t trapped_nr;
  uint32_t trapped_arch;
};

static struct shared {
  volatile int loaded; // result of the last load
  volatile uint32_t next;
  volatile int done;
  struct outcome outcomes[MAX_CASES];
} *shared;

static struct sock_fprog filters[MAX_FILTERS];
static struct call calls[MAX_CASES];
static jmp_buf trap_return;
static volatile struct outcome trapped;

static void need(void *to, size_t size) {
  if (fread(to, 1, size, stdin) != size) {
    fprintf(stderr, "input ends in the middle of a job\n");
    exit(2);
  }
}

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
  register uint64_t sixth __asm__("r8") = c->args[5];
  long result;
  __asm__ volatile("push %%rbp\n\tmov %%r8, %%rbp\n\tint $0x80\n\tpop %%rbp"
                   : "=a"(result), "+r"(sixth)
                   : "a"((uint64_t)c->nr), "b"(c->args[0]), "c"(c->args[1]), "d"(c->args[2]), "S"(c->args[3]), "D"(c->args[4])
                   : "r9", "r10", "r11", "memory");
  return (int32_t)result;
}

static void on_sigsys(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  trapped = (struct outcome){TRAPPED, info->si_errno, (uint32_t)info->si_syscall, info->si_arch};
  _longjmp(trap_return, 1); // leaves the handler without rt_sigreturn, which the filter may forbid
}

__attribute__((noinline)) static void perform(volatile uint32_t index) {
  if (_setjmp(trap_return)) { // _setjmp: without saving the signal mask, which is a syscall
    shared->outcomes[index] = trapped;
    return;
  }
  long result = calls[index].int80 ? by_int80(&calls[index]) : by_syscall(&calls[index]);
  shared->outcomes[index] = (struct outcome){RETURNED, (int32_t)result, 0, 0};
}

static void child(uint32_t flags, uint32_t count, uint32_t cases) {
  struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSYS, &action, NULL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  // The marks are set before each load, as the filter may deny everything after it; memory needs no syscall.
  for (uint32_t i = 0; i < count; i++) {
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filters[i]);
    shared->loaded = result < 0 ? -errno : (int)result;
    if (result < 0) _exit(0);
  }
  while (shared->next < cases) {
    uint32_t index = shared->next;
    shared->outcomes[index].kind = KILLED;
    perform(index);
    shared->next = index + 1;
  }
  shared->done = 1;
  for (;;) __asm__ volatile("pause"); // the parent ends it: exit may be denied
}

static void run(uint32_t flags, uint32_t count, uint32_t cases) {
  shared->next = 0;
  shared->done = 0;
  do {
    shared->loaded = 0;
    pid_t pid = fork();
    if (pid < 0) perror("fork"), exit(2);
    if (pid == 0) child(flags, count, cases);
    int status = 0;
    while (!shared->done && waitpid(pid, &status, WNOHANG) == 0) usleep(20);
    if (shared->done) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      return;
    }
    if (shared->loaded < 0) return;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
      fprintf(stderr, "case %u of a job ended the child with status 0x%x\n", shared->next, status);
      exit(2);
    }
    shared->outcomes[shared->next++] = (struct outcome){KILLED, 0, 0, 0};
  } while (shared->next < cases);
}

int main(void) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 2;
  uint32_t flags, count, cases;
  while (fread(&flags, 1, sizeof flags, stdin) == sizeof flags) {
    need(&count, sizeof count);
    if (count > MAX_FILTERS) return 2;
    for (uint32_t i = 0; i < count; i++) {
      uint32_t length;
      need(&length, sizeof length);
      filters[i].len = (unsigned short)length;
      filters[i].filter = realloc(filters[i].filter, (length + 1) * sizeof(struct sock_filter));
      need(filters[i].filter, length * sizeof(struct sock_filter));
    }
    need(&cases, sizeof cases);
    if (cases > MAX_CASES) return 2;
    need(calls, cases * sizeof *calls);
    run(flags, count, cases);
    int32_t loaded = shared->loaded;
    fwrite(&loaded, sizeof loaded, 1, stdout);
    if (loaded >= 0) fwrite(shared->outcomes, sizeof *shared->outcomes, cases, stdout);
  }
  return 0;
}
