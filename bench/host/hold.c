/*
 * Runs a command for the bench, from a small process: what is timed is the command, not Node's fork. As a subreaper it keeps whatever the
 * command leaves behind below itself (PR_SET_CHILD_SUBREAPER(2const)), so that all of a runtime's processes can be found and none outlives it.
 *
 *   hold run|stay SECONDS CPU COMMAND...
 *
 * CPU is a number, or "any". `run` ends everything when the command has ended, or after SECONDS; both do when standard input ends, and `stay` only
 * then. The command's standard output passes through.
 * Descriptor 3 gets, when the command has ended: "exit STATUS FIRST TOTAL", with a shell's status and nanoseconds from before the fork to its first
 * output (-1: none) and to its end; or "timeout"; or "failed ERRNO" where it cannot be started; and last "gone N": N processes were left and could not be ended.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPORT 3
#define GRACE_SECONDS 10

static long long started, first = -1;
static int output[2];

/* A terminal's go to the bench as well, which then closes standard input: nothing may be left. */
static const int ignored[] = { SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(125);
}

static void pin(const char *cpu) {
  if (strcmp(cpu, "any") == 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(atoi(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) < 0) die("sched_setaffinity");
}

static int start(char **command) {
  /* Close-on-exec: that it closes says that the command runs. */
  int failure[2], error;
  if (pipe2(failure, O_CLOEXEC) < 0) die("pipe2");
  started = now();
  int child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_DFL);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(output[1], 1);
    close(null);
    close_range(REPORT, ~0U, CLOSE_RANGE_CLOEXEC); // what our caller has open is not for the runtimes
    execvp(command[0], command);
    error = errno;
    if (write(failure[1], &error, sizeof error) < 0) _exit(126);
    _exit(127);
  }
  close(failure[1]);
  close(output[1]);
  if (read(failure[0], &error, sizeof error) == sizeof error) dprintf(REPORT, "failed %d\n", error);
  close(failure[0]);
  return child;
}

/* @returns 0 when there is no more to come. */
static int pass_on(void) {
  char buffer[65536];
  ssize_t n = read(output[0], buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 1;
  if (n <= 0) return 0;
  if (first < 0) first = now() - started;
  for (ssize_t done = 0, w; done < n; done += w) {
    if ((w = write(1, buffer + done, n - done)) < 0) return 0;
  }
  return 1;
}

static void drain(void) {
  struct pollfd readable = { output[0], POLLIN, 0 };
  while (poll(&readable, 1, 0) > 0 && (readable.revents & (POLLIN | POLLHUP)) && pass_on()) {}
}

/* Reaps; reports the end of `child`. @returns whether it has ended. */
static int reap(int child) {
  int status, pid, ended = 0;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid != child) continue;
    long long total = now() - started;
    drain();
    dprintf(REPORT, "exit %d %lld %lld\n", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), first, total);
    ended = 1;
  }
  return ended;
}

static int parent_of(const char *pid) {
  char path[64], text[512], *after;
  int parent = -1;
  snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return -1;
  text[n] = 0;
  if ((after = strrchr(text, ')')) != NULL) sscanf(after, ") %*c %d", &parent);
  return parent;
}

/* Our own children alone, which keep their numbers until we reap them. Theirs become ours. @returns how many there were. */
static int kill_children(void) {
  int count = 0;
  DIR *proc = opendir("/proc");
  if (proc == NULL) die("/proc");
  for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || parent_of(entry->d_name) != getpid()) continue;
    kill(atoi(entry->d_name), SIGKILL);
    count++;
  }
  closedir(proc);
  return count;
}

static void end_all(int child) {
  int left = 0;
  for (int i = 0; i < GRACE_SECONDS * 100; i++) {
    reap(child);
    drain();
    if ((left = kill_children()) == 0) break;
    usleep(i == 0 ? 1000 : 10000);
  }
  drain();
  dprintf(REPORT, "gone %d\n", left);
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: hold run|stay SECONDS CPU COMMAND...\n");
    return 125;
  }
  int stay = strcmp(argv[1], "stay") == 0;
  pin(argv[3]);
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) die("prctl");
  if (pipe2(output, O_CLOEXEC) < 0) die("pipe2");
  fcntl(output[0], F_SETFL, O_NONBLOCK);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  int children = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  int child = start(argv + 4);
  long long limit = started + atoll(argv[2]) * 1000000000LL;

  struct pollfd fds[] = { { 0, POLLIN, 0 }, { children, POLLIN, 0 }, { output[0], POLLIN, 0 } };
  for (;;) {
    long long left = (limit - now()) / 1000000;
    int ready = poll(fds, 3, stay ? -1 : (int)(left < 0 ? 0 : left));
    if (ready == 0) {
      dprintf(REPORT, "timeout\n");
      break;
    }
    if (fds[0].revents) break;
    if (fds[2].revents && !pass_on()) fds[2].fd = -1;
    if (fds[1].revents) {
      struct signalfd_siginfo info;
      while (read(children, &info, sizeof info) > 0) {}
      if (reap(child) && !stay) break;
    }
  }
  end_all(child);
  return 0;
}
