/*
 * console SOCKET [ROWS COLUMNS]: the engine's end of an OCI console socket. Listens on SOCKET, prints `listening`, takes one
 * connection and one message, prints a line of JSON about it, sets the window size if one is given, then copies standard input
 * to the terminal and the terminal to standard output until the terminal is closed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static void relay(int master) {
  char buf[4096];
  struct pollfd p[2] = { { 0, POLLIN, 0 }, { master, POLLIN, 0 } };
  for (;;) {
    poll(p, 2, -1);
    if (p[0].revents) {
      ssize_t n = read(0, buf, sizeof buf);
      if (n <= 0) p[0].fd = -1;
      else if (write(master, buf, n) != n) return;
    }
    if (p[1].revents) {
      ssize_t n = read(master, buf, sizeof buf);
      if (n <= 0 || write(1, buf, n) != n) return;
    }
  }
}

int main(int argc, char **argv) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (argc < 2 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1)) { perror("console"); return 1; }
  puts("listening");
  fflush(stdout);
  int peer = accept(listener, NULL, NULL);

  char name[4096] = "";
  union { char buf[CMSG_SPACE(4 * sizeof(int))]; struct cmsghdr align; } control;
  struct iovec io = { name, sizeof name - 1 };
  struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf };
  ssize_t n = recvmsg(peer, &message, MSG_CMSG_CLOEXEC);
  struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&message);
  int count = c && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
  int master = count > 0 ? *(int *)CMSG_DATA(c) : -1;
  struct winsize w = { 0 };
  unsigned number = 0;
  int is_master = master >= 0 && ioctl(master, TIOCGPTN, &number) == 0;
  ioctl(master, TIOCGWINSZ, &w);
  printf("{\"data\":\"%s\",\"fds\":%d,\"isMaster\":%s,\"number\":%u,\"rows\":%u,\"columns\":%u}\n", name, count, is_master ? "true" : "false", number, w.ws_row, w.ws_col);
  fflush(stdout);
  if (argc > 3) {
    w.ws_row = atoi(argv[2]); w.ws_col = atoi(argv[3]);
    ioctl(master, TIOCSWINSZ, &w);
  }
  if (is_master) relay(master);
  return 0;
}
