/*
 * Each system call by its number, in a child of its own, with -1 for every argument: pointers to nowhere, descriptors of nothing, flags that no
 * call has, sizes beyond all limits, a process and a signal that do not exist. Root with every capability gets an error for it, before anything
 * is done: kill(-1, -1) is no signal, reboot(-1) no magic number, acct(-1), swapoff(-1), mount(-1) no path, sethostname(-1, -1) no length. A line
 * for each: the number, and `returned`, `errno NAME`, `signal NAME`, `stuck` or `skipped REASON`.
 */
#include "probe.h"

static const struct {
  long nr;
  const char *reason;
} skipped[] = {
  {SYS_exit, "ends the process"},
  {SYS_exit_group, "ends the process"},
  {SYS_pause, "waits without an end"},
  {SYS_rt_sigreturn, "replaces the registers by what lies on the stack"},
  {SYS_sync, "takes no argument, and has the host write all that it holds"},
  {SYS_vhangup, "takes no argument, and would hang up a terminal"},
  {335, "uretprobe: for the kernel's own trampolines, ends anybody else"},
  {336, "uprobe: for the kernel's own trampolines"},
};

/* Where -1 would be answered ENOSYS by a kernel that has the call. */
static const struct {
  long nr;
  long args[3];
} others[] = {
  {SYS_futex, {-1, 1 /* FUTEX_WAKE, at an address that is not aligned */, 0}},
  {SYS_modify_ldt, {0 /* read */, -1, 0}},
};

static volatile struct {
  long result;
  int error;
  int done;
} *shared;

static void call(void *argument) {
  long nr = *(long *)argument;
  long a[3] = {-1, -1, -1};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (others[i].nr == nr) memcpy(a, others[i].args, sizeof a);
  pid_t self = getpid();
  long result;
  register long r10 __asm__("r10") = -1, r8 __asm__("r8") = -1, r9 __asm__("r9") = -1;
  __asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  if (getpid() == self) { // not the child of fork's
    shared->result = result;
    shared->done = 1;
  }
  _exit(0);
}

static const char *reason_to_skip(long nr) {
  for (size_t i = 0; i < sizeof skipped / sizeof *skipped; i++)
    if (skipped[i].nr == nr) return skipped[i].reason;
  return NULL;
}

static const char *error_name(int error) {
  const char *name = strerrorname_np(error);
  static char number[16];
  snprintf(number, sizeof number, "%d", error);
  return name != NULL ? name : number;
}

static void observe(long nr) {
  const char *reason = reason_to_skip(nr);
  if (reason != NULL) {
    printf("%ld\tskipped\t%s\n", nr, reason);
    return;
  }
  shared->done = 0;
  int status = 0;
  enum ended ended = in_child(call, &nr, 300, &status);
  if (shared->done && shared->result < 0 && shared->result > -4096) printf("%ld\terrno\t%s\n", nr, error_name(-shared->result));
  else if (shared->done) printf("%ld\treturned\n", nr);
  else if (ended == SIGNALLED) printf("%ld\tsignal\t%d\n", nr, WTERMSIG(status));
  else printf("%ld\t%s\n", nr, ended == STUCK ? "stuck" : "returned");
}

void surface(int count, char **numbers) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < count; i++) observe(atol(numbers[i]));
}
