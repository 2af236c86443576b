/*
 * What calls cost: `calls MILLISECONDS DIRECTORY...` prints a line "group TAB name TAB ns TAB value" for each measurement. The group is
 * "calls", or the base name of a directory. Each measurement is the best of five, which take at least MILLISECONDS each.
 *
 * A directory holds `file` (1 MiB), `many/0` to `many/199`, and `fresh/0` to `fresh/1999`, whose names nobody has looked up before.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define MAPPED (16 * PAGE)
#define FRESH 2000
#define TRIES 5

static char block[PAGE];
static int fd, other, ends[2];
static char self[PAGE];

static void fail(const char *what) {
  fprintf(stderr, "calls: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int must(long result, const char *what) {
  if (result < 0) fail(what);
  return (int)result;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void report(const char *group, const char *name, double nanoseconds) {
  printf("%s\t%s\tns\t%.1f\n", group, name, nanoseconds);
  fflush(stdout);
}

/* Calls. */

static void run_getppid(long n) { while (n-- > 0) syscall(SYS_getppid); }
static void run_uname(long n) { struct utsname name; while (n-- > 0) must(uname(&name), "uname"); }

static void run_pipe(long n) {
  while (n-- > 0) if (write(ends[1], "x", 1) != 1 || read(ends[0], block, 1) != 1) fail("pipe");
}

static void run_map(long n) {
  while (n-- > 0) {
    char *at = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) fail("mmap");
    *at = 1;
    munmap(at, MAPPED);
  }
}

static void on_signal(int number) { (void)number; }
static void run_signal(long n) { while (n-- > 0) kill(getpid(), SIGUSR1); }

static void *nothing(void *argument) { return argument; }
static void run_thread(long n) {
  pthread_t thread;
  while (n-- > 0) {
    if (pthread_create(&thread, NULL, nothing, NULL) != 0) fail("pthread_create");
    pthread_join(thread, NULL);
  }
}

static void reap(pid_t child) {
  int status;
  if (must(child, "fork") != waitpid(child, &status, 0) || status != 0) fail("child");
}

static void run_fork(long n) {
  while (n-- > 0) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    reap(child);
  }
}

static void run_fork_exec(long n) {
  while (n-- > 0) {
    pid_t child = fork();
    if (child == 0) { execl(self, self, (char *)NULL); _exit(1); }
    reap(child);
  }
}

static void run_vfork_exec(long n) {
  while (n-- > 0) {
    pid_t child = vfork();
    if (child == 0) { execl(self, self, (char *)NULL); _exit(1); }
    reap(child);
  }
}

static void run_epoll(long n) {
  struct epoll_event event;
  while (n-- > 0) if (epoll_wait(fd, &event, 1, 0) != 1) fail("epoll_wait");
}

/* One message there and back; `fd` and `other` are this side's ends. */
static void run_ping_pong(long n) {
  while (n-- > 0) if (write(other, "x", 1) != 1 || read(fd, block, 1) != 1) fail("ping-pong");
}

/* Files, beneath the working directory. */

static void run_stat(long n) { struct stat status; while (n-- > 0) must(stat("many/7", &status), "stat"); }
static void run_stat_missing(long n) { struct stat status; while (n-- > 0) if (stat("many/none", &status) == 0) fail("a file that should be missing"); }
static void run_open(long n) { while (n-- > 0) close(must(open("many/7", O_RDONLY), "open")); }
static void run_pread(long n) { while (n-- > 0) if (pread(fd, block, PAGE, (n & 255) * PAGE) != PAGE) fail("pread"); }
static void run_pwrite(long n) { while (n-- > 0) if (pwrite(fd, block, PAGE, (n & 255) * PAGE) != PAGE) fail("pwrite"); }

static void run_file_map(long n) {
  volatile char sum = 0;
  while (n-- > 0) {
    char *at = mmap(NULL, MAPPED, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) fail("mmap of a file");
    for (int i = 0; i < MAPPED; i += PAGE) sum += at[i];
    munmap(at, MAPPED);
  }
}

static void run_create(long n) {
  while (n-- > 0) {
    close(must(open("created", O_CREAT | O_EXCL | O_WRONLY, 0644), "creat"));
    must(unlink("created"), "unlink");
  }
}

static void run_list(long n) {
  while (n-- > 0) {
    DIR *directory = opendir("many");
    if (directory == NULL) fail("opendir");
    int count = 0;
    while (readdir(directory) != NULL) count++;
    if (count != 202) fail("readdir");
    closedir(directory);
  }
}

/* How they are measured. */

static double timed(long n, void (*run)(long)) {
  double start = now();
  run(n);
  return now() - start;
}

static double per_call(double budget, void (*run)(long)) {
  long n = 1;
  double best;
  while ((best = timed(n, run)) < budget) n *= 2;
  for (int i = 1; i < TRIES; i++) {
    double elapsed = timed(n, run);
    if (elapsed < best) best = elapsed;
  }
  return best / (double)n;
}

static void echo(int from, int to) {
  char byte;
  while (read(from, &byte, 1) == 1) if (write(to, &byte, 1) != 1) break;
  _exit(0);
}

/* A child echoes what it reads from `theirs_in` to `theirs_out`. */
static void ping_pong(const char *name, double budget, int theirs_in, int theirs_out, int in, int out) {
  pid_t child = must(fork(), "fork");
  if (child == 0) {
    if (in != theirs_in) close(in);
    if (out != theirs_out) close(out);
    echo(theirs_in, theirs_out);
  }
  close(theirs_in);
  if (theirs_out != theirs_in) close(theirs_out);
  fd = in;
  other = out;
  report("calls", name, per_call(budget, run_ping_pong));
  close(in);
  if (out != in) close(out);
  reap(child);
}

static void tcp_pair(int pair[2]) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int one = 1, listener = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  must(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
  must(listen(listener, 1), "listen");
  must(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
  pair[0] = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  must(connect(pair[0], (struct sockaddr *)&address, sizeof address), "connect");
  pair[1] = must(accept(listener, NULL, NULL), "accept");
  close(listener);
  for (int i = 0; i < 2; i++) must(setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
}

static void measure_ping_pongs(double budget) {
  int there[2], back[2], pair[2];
  must(pipe(there), "pipe");
  must(pipe(back), "pipe");
  ping_pong("ping-pong, pipe", budget, there[0], back[1], back[0], there[1]);
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
  ping_pong("ping-pong, unix", budget, pair[1], pair[1], pair[0], pair[0]);
  tcp_pair(pair);
  ping_pong("ping-pong, tcp", budget, pair[1], pair[1], pair[0], pair[0]);
}

static void measure_epoll(double budget) {
  struct epoll_event event = {.events = EPOLLOUT};
  fd = must(epoll_create1(0), "epoll_create1");
  must(epoll_ctl(fd, EPOLL_CTL_ADD, ends[1], &event), "epoll_ctl");
  report("calls", "epoll_wait, ready", per_call(budget, run_epoll));
  close(fd);
}

static void measure_calls(double budget) {
  must(pipe(ends), "pipe");
  signal(SIGUSR1, on_signal);
  report("calls", "getppid", per_call(budget, run_getppid));
  report("calls", "uname", per_call(budget, run_uname));
  report("calls", "pipe write+read", per_call(budget, run_pipe));
  report("calls", "mmap+munmap, anonymous", per_call(budget, run_map));
  report("calls", "signal to self", per_call(budget, run_signal));
  measure_epoll(budget);
  report("calls", "thread create", per_call(budget, run_thread));
  report("calls", "fork+wait", per_call(budget, run_fork));
  report("calls", "fork+exec", per_call(budget, run_fork_exec));
  report("calls", "vfork+exec", per_call(budget, run_vfork_exec));
  measure_ping_pongs(budget);
}

static double stat_fresh(void) {
  char name[32];
  struct stat status;
  double start = now();
  for (int i = 0; i < FRESH; i++) {
    snprintf(name, sizeof name, "fresh/%d", i);
    must(stat(name, &status), "stat");
  }
  return (now() - start) / FRESH;
}

static void measure_files(const char *directory, double budget) {
  const char *group = strrchr(directory, '/') + 1;
  must(chdir(directory), "chdir");
  report(group, "stat, first time", stat_fresh());
  report(group, "stat", per_call(budget, run_stat));
  report(group, "stat of a missing name", per_call(budget, run_stat_missing));
  report(group, "open+close", per_call(budget, run_open));
  report(group, "readdir of 200", per_call(budget, run_list));
  fd = must(open("file", O_RDONLY), "open");
  report(group, "pread 4k", per_call(budget, run_pread));
  report(group, "mmap of a file+touch", per_call(budget, run_file_map));
  close(fd);
  fd = must(open("written", O_RDWR | O_CREAT | O_TRUNC, 0644), "open");
  report(group, "pwrite 4k", per_call(budget, run_pwrite));
  close(fd);
  must(unlink("written"), "unlink");
  report(group, "creat+unlink", per_call(budget, run_create));
}

int main(int count, char **arguments) {
  if (count < 2) return 0; /* What fork+exec executes. */
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  must(length, "readlink /proc/self/exe");
  self[length] = 0;
  double budget = atof(arguments[1]) * 1e6;
  measure_calls(budget);
  for (int i = 2; i < count; i++) measure_files(arguments[i], budget);
  return 0;
}
