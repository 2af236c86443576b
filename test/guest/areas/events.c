/* epoll(7), eventfd(2), signalfd(2), inotify(7), poll(2), select(2), pipe(7), splice(2). */
#include "tell.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

static void eventfds(void) {
  uint64_t value = 0;
  int fd = eventfd(3, EFD_NONBLOCK);
  TELL("eventfd", fd);
  eventfd_write(fd, 4);
  TELL("read", read(fd, &value, 8));
  VALUE("sum", "%d", (int)value);
  TELL("empty", read(fd, &value, 8));
  value = UINT64_MAX;
  TELL("too much", write(fd, &value, 8));
  int counting = eventfd(2, EFD_SEMAPHORE);
  eventfd_read(counting, &value);
  VALUE("as a semaphore", "%d", (int)value);
}

static void epolls(void) {
  int set = epoll_create1(EPOLL_CLOEXEC), ends[2], other = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 7}, got[4];
  if (pipe2(ends, O_NONBLOCK) < 0) return;
  TELL("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
  TELL("twice", epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
  VALUE("nothing yet", "%d", epoll_wait(set, got, 4, 10));
  TELL("write", write(ends[1], "xy", 2));
  VALUE("ready", "%d %d", epoll_wait(set, got, 4, 1000), (int)got[0].data.u64);
  VALUE("edge has passed", "%d", epoll_wait(set, got, 4, 0));
  event.events = EPOLLIN;
  TELL("modify", epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &event));
  VALUE("level", "%d %d", epoll_wait(set, got, 4, 0), epoll_wait(set, got, 4, 0));
  event.events = EPOLLIN;
  TELL("a set in a set", epoll_ctl(other, EPOLL_CTL_ADD, set, &event));
  VALUE("ready through both", "%d", epoll_wait(other, got, 4, 0));
  TELL("a loop", epoll_ctl(set, EPOLL_CTL_ADD, other, &event));
  TELL("a file", epoll_ctl(set, EPOLL_CTL_ADD, open("/etc/passwd", O_RDONLY), &event));
  close(ends[1]);
  VALUE("hung up", "%d %x", epoll_pwait2(set, got, 4, &(struct timespec){0, 0}, NULL), got[0].events);
}

/* Sends it to the caller, whose next call waits for it. */
static pid_t signal_later(int number) {
  fflush(stdout);
  nobody_waits_yet();
  pid_t pid = fork();
  if (pid != 0) {
    about_to_wait();
    return pid;
  }
  until_it_waits(getppid());
  kill(getppid(), number);
  _exit(0);
}

static int reads_in_child(void) {
  struct signalfd_siginfo info = {0};
  TELL("not the parent's", read(3, &info, sizeof info));
  raise(SIGUSR1);
  TELL("its own", read(3, &info, sizeof info));
  VALUE("by itself", "%u %d", info.ssi_signo, info.ssi_pid == (uint32_t)getpid());
  return 0;
}

static void *reads_in_thread(void *fd) {
  struct signalfd_siginfo info = {0};
  sigset_t mask;
  /* A tracer is told of it although it is ignored: the read would begin anew, by then without waiting. */
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &mask, NULL);
  about_to_wait();
  TELL("read in a thread", read(*(int *)fd, &info, sizeof info));
  VALUE("sent to the process", "%u", info.ssi_signo);
  return NULL;
}

static void waits_for_signals(int fd) {
  struct signalfd_siginfo info[3] = {0};
  struct pollfd ready = {fd, POLLIN | POLLOUT, 0};
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 5}, got[2];
  int set = epoll_create1(0), outer = epoll_create1(0);
  VALUE("poll of none", "%d", poll(&ready, 1, 0));
  pid_t pid = signal_later(SIGUSR1);
  int count = poll(&ready, 1, 20000);
  VALUE("poll", "%d %x", count, ready.revents);
  VALUE("child", "%d", ended(pid));
  TELL("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
  TELL("a set in a set", epoll_ctl(outer, EPOLL_CTL_ADD, set, &event));
  count = epoll_wait(set, got, 2, 0);
  VALUE("epoll", "%d %x %d", count, got[0].events, (int)got[0].data.u64);
  VALUE("through both", "%d", epoll_wait(outer, got, 2, 0));
  VALUE("read", "%d", (int)(read(fd, info, sizeof info) / (ssize_t)sizeof *info));
  VALUE("epoll of none", "%d", epoll_wait(outer, got, 2, 10));
  pid = signal_later(SIGUSR1);
  VALUE("epoll, later", "%d", epoll_wait(outer, got, 2, 20000));
  VALUE("child", "%d", ended(pid));
  fd_set readable;
  FD_ZERO(&readable);
  FD_SET(fd, &readable);
  VALUE("select", "%d", select(fd + 1, &readable, NULL, NULL, NULL));
  kill(getpid(), SIGUSR2);
  VALUE("two", "%d", (int)(read(fd, info, sizeof info) / (ssize_t)sizeof *info));
  close(set);
  close(outer);
}

static void blocking_signalfds(int fd) {
  struct signalfd_siginfo info = {0};
  TELL("to wait", fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK));
  pid_t pid = signal_later(SIGUSR1);
  TELL("read, later", read(fd, &info, sizeof info));
  VALUE("which", "%u %d", info.ssi_signo, info.ssi_pid == (uint32_t)pid);
  VALUE("child", "%d", ended(pid));
  struct sigaction act = {.sa_handler = (void (*)(int))nap};
  sigaction(SIGALRM, &act, NULL);
  pid = signal_later(SIGALRM);
  TELL("interrupted", read(fd, &info, sizeof info));
  VALUE("child", "%d", ended(pid));
  pthread_t thread;
  nobody_waits_yet();
  pthread_create(&thread, NULL, reads_in_thread, &fd);
  while (*about == 0) nap(1);
  nap(100);
  /* Born while the thread reads. */
  dup2(fd, 3);
  fcntl(3, F_SETFL, O_NONBLOCK);
  VALUE("in a child", "%d", inside(reads_in_child));
  fcntl(fd, F_SETFL, 0);
  kill(getpid(), SIGUSR2);
  pthread_join(thread, NULL);
}

static void signalfds(void) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  int fd = signalfd(-1, &mask, SFD_NONBLOCK);
  struct signalfd_siginfo info = {0};
  TELL("signalfd", fd);
  TELL("none", read(fd, &info, sizeof info));
  sigqueue(getpid(), SIGUSR1, (union sigval){9});
  TELL("one", read(fd, &info, sizeof info));
  VALUE("which", "%u %d %d", info.ssi_signo, info.ssi_int, info.ssi_pid == (uint32_t)getpid());
  TELL("too small", read(fd, &info, sizeof info - 1));
  TELL("write", write(fd, &info, sizeof info));
  sigaddset(&mask, SIGUSR2);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  kill(getpid(), SIGUSR2);
  TELL("not asked for", read(fd, &info, sizeof info));
  VALUE("another mask", "%d", signalfd(fd, &mask, 0) == fd);
  TELL("asked for", read(fd, &info, sizeof info));
  VALUE("flags", "%x", fcntl(fd, F_GETFL));
  TELL("no signalfd", signalfd(0, &mask, 0));
  TELL("not open", signalfd(999, &mask, 0));
  TELL("a flag that is not", signalfd(-1, &mask, 1));
  TELL("a mask of another size", syscall(SYS_signalfd4, -1, &mask, 4, 0));
  TELL("a mask nowhere", syscall(SYS_signalfd4, -1, NULL, 8, 0));
  waits_for_signals(fd);
  blocking_signalfds(fd);
  close(fd);
}

/* At least so many: under the policy strict the kernel learns later of a close on a volume. */
static void show_events(int fd, int least) {
  char buffer[4096] __attribute__((aligned(8)));
  struct pollfd ready = {fd, POLLIN, 0};
  while (least > 0 && poll(&ready, 1, 5000) > 0) {
    ssize_t got = read(fd, buffer, sizeof buffer);
    for (ssize_t at = 0; at < got; least--) {
      const struct inotify_event *event = (void *)(buffer + at);
      printf("event %x cookie %d name %s\n", event->mask, event->cookie != 0, event->len > 0 ? event->name : "");
      at += (ssize_t)sizeof *event + event->len;
    }
  }
}

static void watch(const char *directory) {
  VALUE("inotify in", "%s", directory);
  int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), file;
  if (chdir(directory) < 0 || mkdir("watched", 0755) < 0) return;
  int one = inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVE | IN_ATTRIB | IN_DELETE_SELF);
  TELL("inotify_add_watch", one);
  file = open("watched/a", O_CREAT | O_WRONLY, 0644);
  TELL("written", write(file, "x", 1));
  close(file);
  show_events(fd, 3);
  TELL("renamed", rename("watched/a", "watched/b"));
  TELL("mode", chmod("watched/b", 0600));
  show_events(fd, 3);
  TELL("removed", unlink("watched/b"));
  TELL("directory removed", rmdir("watched"));
  show_events(fd, 3);
  TELL("not there", inotify_add_watch(fd, "nothing", IN_CREATE));
  TELL("no such watch", inotify_rm_watch(fd, 99));
  close(fd);
}

static void pipes(void) {
  int ends[2], more[2], queued = 0;
  char text[16] = "";
  TELL("pipe2", pipe2(ends, O_NONBLOCK));
  TELL("empty", read(ends[0], text, 1));
  int filled = 0;
  while (write(ends[1], text, sizeof text) > 0) filled++;
  VALUE("capacity", "%d", filled * (int)sizeof text);
  TELL("F_SETPIPE_SZ", fcntl(ends[1], F_SETPIPE_SZ, 1 << 17));
  VALUE("size", "%d", fcntl(ends[1], F_GETPIPE_SZ));
  ioctl(ends[0], FIONREAD, &queued);
  VALUE("queued", "%d", queued);
  if (pipe(more) < 0) return;
  TELL("tee", tee(ends[0], more[1], 10, 0));
  TELL("splice", splice(ends[0], NULL, more[1], NULL, 10, 0));
  struct iovec part = {"memory", 6};
  TELL("vmsplice", vmsplice(more[1], &part, 1, 0));
  TELL("splice of a file", splice(open("/etc/passwd", O_RDONLY), NULL, more[1], NULL, 5, 0));
  VALUE("read", "%zd", read(more[0], (char[100]){0}, 100));
  TELL("fifo", mkfifo("/tmp/fifo", 0600));
  TELL("no reader", open("/tmp/fifo", O_WRONLY | O_NONBLOCK));
  int fifo = open("/tmp/fifo", O_RDWR);
  TELL("both", fifo);
  TELL("through", write(fifo, "f", 1));
  struct pollfd ready[2] = {{fifo, POLLIN | POLLOUT, 0}, {-1, POLLIN, 0}};
  VALUE("poll", "%d %x", poll(ready, 2, 0), ready[0].revents);
  ready[1].fd = 999;
  VALUE("poll of nothing", "%d %x", poll(ready + 1, 1, 0), ready[1].revents);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(fifo, &set);
  VALUE("select", "%d", select(fifo + 1, &set, NULL, NULL, &(struct timeval){0, 0}));
}

static volatile sig_atomic_t handled;

static void handler(int number) {
  handled = number;
}

#define HANDLED (VALUE("handled", "%d", handled), handled = 0)

/* Writes, or reads all, a while after. */
static pid_t move_later(int fd, int writes) {
  static char room[1 << 16];
  fflush(stdout);
  pid_t pid = fork();
  if (pid != 0) return pid;
  nap(60);
  if (writes) _exit(write(fd, "x", 1) == 1 ? 0 : 1);
  while (read(fd, room, sizeof room) > 0) {}
  _exit(errno == EAGAIN ? 0 : 1);
}

/* Waiting under another mask, as one step: SIGUSR1 is blocked but while the call lasts, SIGUSR2 the other way round. */
static void polls_masked(const sigset_t *during) {
  int ends[2], pair[2], more[2];
  if (pipe2(ends, O_NONBLOCK) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0 || pipe2(more, O_NONBLOCK) < 0) return;
  static char filling[4096];
  while (write(ends[1], filling, sizeof filling) > 0) {}
  while (write(pair[0], filling, sizeof filling) > 0) {}
  struct pollfd full = {ends[1], POLLOUT, 0}, both = {pair[0], POLLIN | POLLOUT, 0}, empty[2] = {{more[0], POLLIN, 0}, {ends[1], POLLOUT, 0}};
  struct timespec soon = {0, 20000000};
  VALUE("ppoll, in vain", "%d", ppoll(&full, 1, &soon, during));
  pid_t pid = move_later(ends[0], 0);
  int count = ppoll(&full, 1, NULL, during);
  VALUE("ppoll to write", "%d %x", count, full.revents);
  VALUE("child", "%d", ended(pid));
  while (write(ends[1], filling, sizeof filling) > 0) {}
  pid = move_later(pair[1], 1);
  count = ppoll(&both, 1, NULL, during);
  VALUE("ppoll for both", "%d %x", count, both.revents);
  VALUE("child", "%d", ended(pid));
  read(pair[0], filling, 10);
  pid = move_later(pair[1], 0);
  count = ppoll(&both, 1, NULL, during);
  VALUE("ppoll for both", "%d %x", count, both.revents);
  VALUE("child", "%d", ended(pid));
  pid = move_later(more[1], 1);
  count = ppoll(empty, 2, NULL, during);
  VALUE("ppoll of two", "%d %x %x", count, empty[0].revents, empty[1].revents);
  VALUE("child", "%d", ended(pid));
  read(more[0], filling, 10);
  pid = move_later(ends[0], 0);
  fd_set to_read, to_write;
  FD_ZERO(&to_read);
  FD_ZERO(&to_write);
  FD_SET(more[0], &to_read);
  FD_SET(ends[1], &to_write);
  count = pselect((ends[1] > more[0] ? ends[1] : more[0]) + 1, &to_read, &to_write, NULL, NULL, during);
  VALUE("pselect", "%d %d %d", count, FD_ISSET(more[0], &to_read), FD_ISSET(ends[1], &to_write));
  VALUE("child", "%d", ended(pid));
  while (write(ends[1], filling, sizeof filling) > 0) {}
  kill(getpid(), SIGUSR1);
  TELL("ppoll with a signal that waits", ppoll(&full, 1, NULL, during));
  HANDLED;
  pid = signal_later(SIGUSR1);
  TELL("ppoll, interrupted", ppoll(&full, 1, NULL, during));
  HANDLED;
  VALUE("child", "%d", ended(pid));
  pid = signal_later(SIGUSR2);
  struct timespec while_signalled = {0, 300000000};
  VALUE("ppoll, not interrupted", "%d", ppoll(&full, 1, &while_signalled, during));
  HANDLED;
  VALUE("child", "%d", ended(pid));
  fcntl(ends[1], F_SETFL, 0);
  pid = move_later(ends[0], 0);
  TELL("as usual then", write(ends[1], "x", 1));
  VALUE("child", "%d", ended(pid));
  for (int i = 0; i < 2; i++) close(ends[i]), close(pair[i]), close(more[i]);
}

static void epolls_masked(const sigset_t *during) {
  int ends[2], more[2], set = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 11}, got[4] = {0};
  if (pipe2(ends, O_NONBLOCK) < 0 || pipe2(more, O_NONBLOCK) < 0) return;
  TELL("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
  event = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.u64 = 12};
  TELL("edges", epoll_ctl(set, EPOLL_CTL_ADD, more[0], &event));
  VALUE("epoll_pwait, in vain", "%d", epoll_pwait(set, got, 4, 20, during));
  pid_t pid = move_later(ends[1], 1);
  int count = epoll_pwait(set, got, 4, -1, during);
  VALUE("epoll_pwait", "%d %x %d", count, got[0].events, (int)got[0].data.u64);
  VALUE("child", "%d", ended(pid));
  read(ends[0], (char[10]){0}, 10);
  pid = move_later(more[1], 1);
  count = epoll_pwait2(set, got, 4, NULL, during);
  VALUE("epoll_pwait2", "%d %x %d", count, got[0].events, (int)got[0].data.u64);
  VALUE("child", "%d", ended(pid));
  VALUE("once", "%d", epoll_pwait(set, got, 4, 20, during));
  kill(getpid(), SIGUSR1);
  TELL("with a signal that waits", epoll_pwait(set, got, 4, -1, during));
  HANDLED;
  pid = signal_later(SIGUSR1);
  TELL("interrupted", epoll_pwait(set, got, 4, -1, during));
  HANDLED;
  VALUE("child", "%d", ended(pid));
  pid = signal_later(SIGUSR2);
  VALUE("not interrupted", "%d", epoll_pwait(set, got, 4, 300, during));
  HANDLED;
  VALUE("child", "%d", ended(pid));
  write(ends[1], "x", 1);
  kill(getpid(), SIGUSR1);
  count = epoll_pwait(set, got, 4, -1, during);
  VALUE("what is there is told of first", "%d %d", count, handled);
  TELL("the signal comes", sigsuspend(during));
  HANDLED;
  read(ends[0], (char[10]){0}, 10);
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    nap(60);
    _exit(0);
  }
  close(ends[1]);
  count = epoll_pwait(set, got, 4, -1, during);
  VALUE("hung up", "%d %x %d", count, got[0].events, (int)got[0].data.u64);
  VALUE("child", "%d", ended(pid));
  VALUE("as usual", "%d", epoll_wait(set, got, 4, 0));
  close(set);
}

static void masks(void) {
  sigset_t during, before;
  struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &act, NULL);
  sigaction(SIGUSR2, &act, NULL);
  sigprocmask(SIG_SETMASK, NULL, &before);
  sigdelset(&before, SIGUSR2);
  sigaddset(&before, SIGUSR1);
  sigprocmask(SIG_SETMASK, &before, &during);
  during = before;
  sigdelset(&during, SIGUSR1);
  sigaddset(&during, SIGUSR2);
  /* A tracer is told of signals that are ignored, too, which ends epoll_wait(2): a child's end is not to be one of those. */
  sigaddset(&during, SIGCHLD);
  polls_masked(&during);
  epolls_masked(&during);
}

int main(void) {
  eventfds();
  epolls();
  signalfds();
  watch("/tmp");
  watch("/volume");
  pipes();
  masks();
  return 0;
}
