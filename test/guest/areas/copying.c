/* copy_file_range(2), sendfile(2), splice(2), tee(2), vmsplice(2): data that programs have copied. */
#include "tell.h"
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

static char text[1 << 17];

static void show(const char *what, int fd) {
  ssize_t got = read(fd, text, sizeof text);
  VALUE(what, "%zd %.*s", got, (int)(got < 0 ? 0 : got > 20 ? 20 : got), text);
}

static void files(void) {
  int from = open("/tmp/copying", O_CREAT | O_TRUNC | O_RDWR, 0600), to = open("/tmp/copied", O_CREAT | O_TRUNC | O_RDWR, 0600);
  off_t at = 3, there = 10;
  write(from, "0123456789", 10);
  VALUE("from an offset", "%zd", copy_file_range(from, &at, to, NULL, 4, 0));
  VALUE("to an offset", "%zd", copy_file_range(from, &at, to, &there, 100, 0));
  VALUE("offsets", "%ld %ld, position %ld", (long)at, (long)there, (long)lseek(to, 0, SEEK_CUR));
  VALUE("at the end", "%zd", copy_file_range(from, &at, to, NULL, 4, 0));
  lseek(to, 0, SEEK_SET);
  ssize_t got = read(to, text, 100);
  for (ssize_t i = 0; i < got; i++) if (text[i] == 0) text[i] = '-';
  VALUE("copied", "%.*s", (int)got, text);
  at = there = 0;
  TELL("onto itself", copy_file_range(from, &at, from, &there, 5, 0));
  TELL("flags", copy_file_range(from, &at, to, NULL, 5, 1));
  at = 0;
  TELL("to what is read only", copy_file_range(from, &at, open("/etc/passwd", O_RDONLY), NULL, 5, 0));
  TELL("to what is appended to", copy_file_range(from, &at, open("/tmp/copied", O_WRONLY | O_APPEND), NULL, 5, 0));
  TELL("a directory", copy_file_range(open("/", O_RDONLY), NULL, to, NULL, 5, 0));
  at = 2;
  VALUE("sendfile", "%zd", sendfile(to, from, &at, 3));
  VALUE("offset", "%ld", (long)at);
}

static void splices(void) {
  int one[2], other[2], pair[2], from = open("/tmp/copying", O_RDONLY);
  off_t at = 4;
  if (pipe(one) < 0 || pipe2(other, O_NONBLOCK) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) return;
  VALUE("file to pipe", "%zd", splice(from, &at, one[1], NULL, 3, 0));
  VALUE("offset", "%ld", (long)at);
  VALUE("tee", "%zd", tee(one[0], other[1], 2, 0));
  show("copied", other[0]);
  VALUE("pipe to pipe", "%zd", splice(one[0], NULL, other[1], NULL, 100, 0));
  show("moved", other[0]);
  TELL("nothing there", splice(other[0], NULL, one[1], NULL, 1, SPLICE_F_NONBLOCK));
  TELL("an offset of a pipe", splice(one[0], &at, other[1], NULL, 1, 0));
  TELL("no pipe", splice(from, NULL, pair[0], NULL, 1, 0));
  TELL("the same pipe", splice(one[0], NULL, one[1], NULL, 1, 0));
  TELL("tee of a file", tee(from, one[1], 1, 0));
  struct iovec parts[2] = {{"memo", 4}, {"ry", 2}};
  VALUE("vmsplice", "%zd", vmsplice(one[1], parts, 2, 0));
  VALUE("pipe to socket", "%zd", splice(one[0], NULL, pair[0], NULL, 6, 0));
  VALUE("socket to pipe", "%zd", splice(pair[1], NULL, one[1], NULL, 6, 0));
  show("through both", one[0]);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    nap(100);
    write(one[1], "late", 4);
    _exit(0);
  }
  VALUE("waits", "%zd", splice(one[0], NULL, pair[0], NULL, 6, 0));
  ended(pid);
  close(one[1]);
  VALUE("at the end", "%zd", splice(one[0], NULL, pair[0], NULL, 6, 0));
  close(other[0]);
  signal(SIGPIPE, SIG_IGN);
  TELL("no readers", splice(from, NULL, other[1], NULL, 3, 0));
}

int main(void) {
  files();
  splices();
  return 0;
}
