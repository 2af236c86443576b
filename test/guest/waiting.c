// Calls that wait, and what ends that: data, signals, stops, a kill, an execve of another thread. Prints what it observes, which is the same on every Linux.
#include "areas/tell.h"
#include <poll.h>
#include <pthread.h>
#include <sys/select.h>

enum { ROUNDS = 8, STORM = 40, MS = 1000 };

static int ends[2];
static int hits;

static void hit(int signal) {
  (void)signal;
  hits++;
}

static void handle(int signal, int flags) {
  struct sigaction action = {.sa_handler = hit, .sa_flags = flags};
  sigaction(signal, &action, NULL);
}

static void *execute(void *unused) {
  usleep(5 * MS);
  execl("/proc/self/exe", "waiting", "end", NULL);
  return unused;
}

static void *wait_for_byte(void *unused) {
  char byte;
  read(ends[0], &byte, 1);
  return unused;
}

// A child whose leader waits while a thread executes a program, or the other way round.
static void executions(void *(*in_thread)(void *), void *(*in_leader)(void *)) {
  int good = 0;
  for (int i = 0; i < ROUNDS; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      pthread_t threads[2];
      int count = in_thread == execute ? 1 : 2;
      for (int n = 0; n < count; n++) pthread_create(&threads[n], NULL, in_thread, NULL);
      in_leader(NULL);
      _exit(9);
    }
    int status;
    waitpid(pid, &status, 0);
    good += status == 0;
  }
  printf("executed %d\n", good);
}

// A child signals us once we wait, and writes a byte a while after.
static pid_t later(int signal, int writes) {
  nobody_waits_yet();
  pid_t pid = fork();
  if (pid != 0) {
    about_to_wait();
    return pid;
  }
  until_it_waits(getppid());
  if (signal != 0) kill(getppid(), signal);
  usleep(100 * MS);
  if (writes) write(ends[1], "x", 1);
  _exit(0);
}

static void interrupted(int flags, int writes) {
  char byte;
  handle(SIGUSR1, flags);
  pid_t pid = later(SIGUSR1, writes);
  long n = read(ends[0], &byte, 1);
  printf("read %ld %s, handled %d\n", n, n < 0 ? strerror(errno) : "", hits);
  waitpid(pid, NULL, 0);
}

static void under_mask(void) {
  sigset_t mask, none;
  char byte;
  sigemptyset(&none);
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  kill(getpid(), SIGUSR1);
  struct pollfd polled = {.fd = ends[0], .events = POLLIN};
  struct timespec patience = {60, 0};
  int n = ppoll(&polled, 1, &patience, &none);
  printf("ppoll %d %s, handled %d\n", n, strerror(errno), hits);
  pid_t pid = later(SIGUSR1, 0);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  n = pselect(ends[0] + 1, &set, NULL, NULL, &patience, &none);
  printf("pselect %d %s, handled %d\n", n, strerror(errno), hits);
  waitpid(pid, NULL, 0);
  pid = later(0, 1);
  n = ppoll(&polled, 1, &patience, &none);
  printf("ppoll %d %d\n", n, polled.revents);
  read(ends[0], &byte, 1);
  waitpid(pid, NULL, 0);
  sigprocmask(SIG_SETMASK, NULL, &mask);
  printf("still blocked %d\n", sigismember(&mask, SIGUSR1));
}

static void stopped(void) {
  char byte;
  int status;
  pid_t pid = fork();
  if (pid == 0) _exit(read(ends[0], &byte, 1) == 1 ? byte : 99);
  usleep(100 * MS);
  kill(pid, SIGSTOP);
  waitpid(pid, &status, WUNTRACED);
  printf("stopped %d\n", WIFSTOPPED(status));
  kill(pid, SIGCONT);
  waitpid(pid, &status, WCONTINUED);
  printf("continued %d\n", WIFCONTINUED(status));
  write(ends[1], "z", 1);
  waitpid(pid, &status, 0);
  printf("read %c\n", WEXITSTATUS(status));
  pid = fork();
  if (pid == 0) _exit(read(ends[0], &byte, 1) == 1);
  usleep(50 * MS);
  kill(pid, SIGKILL);
  waitpid(pid, &status, 0);
  printf("killed %d\n", WTERMSIG(status));
}

static int descriptors(void) {
  int bad = 0, pair[2];
  char byte;
  for (int i = 0; i < STORM; i++) {
    int fd = open("/proc/self/exe", O_RDONLY);
    bad += fd < 0 || pipe(pair) != 0 || write(pair[1], "a", 1) != 1 || read(pair[0], &byte, 1) != 1;
    bad += mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED || pread(fd, &byte, 1, 0) != 1;
    close(fd);
    close(pair[0]);
    close(pair[1]);
  }
  return bad;
}

// Descriptors are opened and mapped while signals and stops rain.
static void storm(void) {
  int status, sent = 0;
  handle(SIGUSR2, SA_RESTART);
  pid_t pid = fork();
  if (pid == 0) _exit(descriptors());
  for (; waitpid(pid, &status, WNOHANG) == 0; sent++) {
    kill(pid, sent % 3 == 0 ? SIGSTOP : SIGUSR2);
    if (sent % 3 == 0) kill(pid, SIGCONT);
    usleep(MS);
  }
  printf("storm: %d, signal %d\n", WEXITSTATUS(status), WTERMSIG(status));
}

int main(int count, char **args) {
  (void)args;
  if (count > 1) return 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  pipe(ends);
  executions(execute, wait_for_byte);
  executions(wait_for_byte, execute);
  interrupted(0, 0);
  interrupted(SA_RESTART, 1);
  under_mask();
  stopped();
  storm();
  printf("lowest %d\n", open("/proc/self/exe", O_RDONLY) - ends[1]);
  return 0;
}
