// Runs a program under a filter and stands in for the sentry: it answers every call that traps, and counts them.
//
//   policy-host FILTER ANSWER CENSUS PROGRAM [ARGUMENT...]
//
// FILTER: a file of struct sock_filter[], in which sendmsg does not trap. ANSWER: `continue`, or the errno that calls fail with. CENSUS:
// written at the end, a line for each kind of trapped call: number, what tells it apart (an option, a command, a family), how often.
// Exit code: the program's, 128 + signal, or 125 where the filter could not be set.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Later than Debian 12's headers (Linux 6.6).
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif

enum { MAX_KINDS = 4096 };

static struct kind {
  int nr;
  uint32_t a, b, c;
  unsigned long count;
} kinds[MAX_KINDS];
static int kind_count;

static void fail(const char *what) {
  perror(what);
  exit(125);
}

static void count(const struct seccomp_data *data) {
  struct kind k = {.nr = data->nr, .count = 1};
  const __u64 *args = data->args;
  switch (data->nr) {
  case SYS_socket:
  case SYS_socketpair:
    k.a = (uint32_t)args[0], k.b = (uint32_t)args[1] & ~(SOCK_CLOEXEC | SOCK_NONBLOCK), k.c = (uint32_t)args[2];
    break;
  case SYS_setsockopt:
  case SYS_getsockopt:
    k.a = (uint32_t)args[1], k.b = (uint32_t)args[2];
    break;
  case SYS_ioctl:
  case SYS_fcntl:
    k.a = (uint32_t)args[1];
    break;
  case SYS_futex:
    k.a = (uint32_t)args[1] & 0x7f;
    break;
  case SYS_prctl:
  case SYS_arch_prctl:
  case SYS_ptrace:
  case SYS_clone:
  case SYS_personality:
  case SYS_unshare:
  case SYS_seccomp:
    k.a = (uint32_t)args[0];
    break;
  case SYS_madvise:
    k.a = (uint32_t)args[2];
    break;
  }
  for (int i = 0; i < kind_count; i++) {
    struct kind *o = &kinds[i];
    if (o->nr == k.nr && o->a == k.a && o->b == k.b && o->c == k.c) {
      o->count++;
      return;
    }
  }
  if (kind_count < MAX_KINDS) kinds[kind_count++] = k;
}

static void send_descriptor(int socket, int fd) {
  char byte = 0;
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof fd)];
  } control = {.header = {.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  if (sendmsg(socket, &message, 0) != 1) fail("sendmsg");
}

static int receive_descriptor(int socket) {
  char byte;
  int fd;
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof fd)];
  } control;
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || message.msg_controllen == 0) exit(125);
  memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
  return fd;
}

static void child(const char *filter_path, int socket, char **argv) {
  static struct sock_filter program[4096];
  FILE *file = fopen(filter_path, "r");
  if (!file) fail(filter_path);
  struct sock_fprog fprog = {(unsigned short)fread(program, sizeof *program, 4096, file), program};
  fclose(file);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &fprog);
  if (listener < 0) fail("seccomp");
  send_descriptor(socket, (int)listener);
  close((int)listener);
  close(socket);
  execvp(argv[0], argv);
  fail(argv[0]);
}

static void serve(int listener, int error) {
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP); // kernels before 6.6 are slower
  for (;;) {
    struct pollfd p = {listener, POLLIN, 0};
    if (poll(&p, 1, -1) < 0 && errno == EINTR) continue;
    if (!(p.revents & POLLIN)) return; // POLLHUP: no task carries the filter any more
    struct seccomp_notif call = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call)) continue;
    count(&call.data);
    struct seccomp_notif_resp answer = {.id = call.id, .error = -error, .flags = error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}

int main(int argc, char **argv) {
  if (argc < 5) return 125;
  int error = strcmp(argv[2], "continue") ? atoi(argv[2]) : 0;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) fail("socketpair");
  pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid == 0) child(argv[1], pair[1], argv + 4);
  close(pair[1]);
  serve(receive_descriptor(pair[0]), error);
  int status;
  waitpid(pid, &status, 0);
  FILE *census = fopen(argv[3], "w");
  if (!census) fail(argv[3]);
  for (int i = 0; i < kind_count; i++) fprintf(census, "%d %u %u %u %lu\n", kinds[i].nr, kinds[i].a, kinds[i].b, kinds[i].c, kinds[i].count);
  fclose(census);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
