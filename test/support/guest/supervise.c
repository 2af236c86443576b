/*
 * supervise REPORT COMMAND...: does for a test what conmon and containerd's shim do for an engine. It is the subreaper of the
 * runtime it starts, so that an init left behind by `create` becomes its child and its wait status can be read. One line
 * for each event goes to descriptor REPORT, which the command does not inherit:
 *   pid P            the command has been started
 *   main CODE SIG    the command has ended
 *   orphan P CODE SIG   a process that it left behind has ended
 * It ends when nothing is left to wait for. If the test process dies, every child is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t parent_died;
static void on_term(int sig) { (void)sig; parent_died = 1; }

static void kill_children(void) {
  char path[64];
  int pid;
  snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
  FILE *f = fopen(path, "re");
  if (!f) return;
  while (fscanf(f, "%d", &pid) == 1) kill(pid, SIGKILL);
  fclose(f);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int report = atoi(argv[1]), status;
  pid_t parent = getppid();
  fcntl(report, F_SETFD, FD_CLOEXEC);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  struct sigaction action = { .sa_handler = on_term };
  sigaction(SIGTERM, &action, NULL);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) return 2;

  pid_t child = fork();
  if (child == 0) {
    signal(SIGTERM, SIG_DFL);
    execvp(argv[2], argv + 2);
    dprintf(report, "error %s: %s\n", argv[2], strerror(errno));
    _exit(127);
  }
  dprintf(report, "pid %d\n", child);
  for (;;) {
    if (parent_died) kill_children();
    pid_t pid = wait(&status);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) return 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1, sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (pid == child) dprintf(report, "main %d %d\n", code, sig);
    else dprintf(report, "orphan %d %d %d\n", pid, code, sig);
  }
}
