/* Executes a command as on a kernel without seccomp user notification (before 5.0): such kernels answer so. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)

int main(int argc, char **argv) {
  struct sock_filter code[] = {
      LOAD(nr),
      UNLESS(SYS_seccomp, 7),
      LOAD(args[0]),
      UNLESS(SECCOMP_GET_ACTION_AVAIL, 1),
      RETURN(SECCOMP_RET_ERRNO | EOPNOTSUPP),
      UNLESS(SECCOMP_SET_MODE_FILTER, 3),
      LOAD(args[1]),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0, 1),
      RETURN(SECCOMP_RET_ERRNO | EINVAL),
      RETURN(SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
  /* As root, so that set-user-ID programs stay what they are. */
  if (argc < 2 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return perror("seccomp"), 125;
  execvp(argv[1], argv + 1);
  return perror(argv[1]), 126;
}
