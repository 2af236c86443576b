/*
 * notify SOCKET ANSWER: a seccomp agent as the runtime specification describes it. Listens on SOCKET, prints `listening`, takes
 * one connection, reads the container process state and the descriptors that come with it, prints `fds N` and `state JSON`,
 * then answers every notification: ANSWER is an errno, or `continue`, or `value:N`. Prints `syscall NR` for each.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int complete(const char *json) {
  int depth = 0, text = 0;
  for (; *json; json++) {
    if (text && *json == '\\' && json[1]) json++;
    else if (*json == '"') text = !text;
    else if (!text) depth += (*json == '{') - (*json == '}');
  }
  return depth == 0;
}

int main(int argc, char **argv) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (argc < 3 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1)) { perror("notify"); return 1; }
  puts("listening");
  fflush(stdout);
  int peer = accept(listener, NULL, NULL);

  static char state[1 << 16];
  union { char buf[CMSG_SPACE(8 * sizeof(int))]; struct cmsghdr align; } control;
  struct iovec io = { state, sizeof state - 1 };
  struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf };
  ssize_t n = recvmsg(peer, &message, MSG_CMSG_CLOEXEC), more;
  struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&message);
  int count = c && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
  int fd = count > 0 ? *(int *)CMSG_DATA(c) : -1;
  /* A sender may keep the connection open: read on only until the object is complete. */
  while (n > 0 && !complete(state) && (more = read(peer, state + n, sizeof state - 1 - n)) > 0) n += more;
  for (char *p = state; *p; p++) if (*p == '\n') *p = ' ';
  printf("fds %d\nstate %s\n", count, state);
  fflush(stdout);
  for (;;) {
    struct seccomp_notif request = { 0 };
    if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &request)) {
      if (errno == EINTR) continue;
      if (errno == ENOENT) continue;
      return 0;
    }
    struct seccomp_notif_resp answer = { .id = request.id };
    if (!strcmp(argv[2], "continue")) answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    else if (!strncmp(argv[2], "value:", 6)) answer.val = atoll(argv[2] + 6);
    else answer.error = -atoi(argv[2]);
    printf("syscall %d\n", request.data.nr);
    fflush(stdout);
    ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}
