/*
 * The probe that runs inside of a container: the same static program under every runtime.
 *
 *   probe wait                    sleeps: its filters are read from outside
 *   probe surface NUMBER...       tries each system call with arguments that come to nothing
 *   probe leaks                   tells what it can learn of the machine
 *   probe escapes KEY=VALUE...    tries what published escapes stood on
 *   probe attack NAME MS          takes all it can get of one resource, within bounds of its own
 *   probe hunt MS                 looks into each process that comes into the container
 *   probe true                    does nothing: to be entered by
 *   probe job MS                  does small jobs, and tells how long each took
 */
#include "probe.h"

#include <sys/prctl.h>

void print_escaped(const char *text) {
  for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++) {
    if (*c < 0x20 || *c == '\\' || *c > 0x7e) printf("\\x%02x", *c);
    else putchar(*c);
  }
}

long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

enum ended in_child(void (*body)(void *), void *argument, int patience_ms, int *status) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    setsid();
    body(argument);
    _exit(0);
  }
  long long end = now_ns() + patience_ms * 1000000LL;
  pid_t gone = 0;
  for (long pause_ns = 20000; (gone = waitpid(pid, status, WNOHANG)) == 0 && now_ns() < end; pause_ns = pause_ns < 2000000 ? pause_ns * 2 : pause_ns)
    nanosleep(&(struct timespec){0, pause_ns}, NULL);
  if (gone == 0) {
    kill(pid, SIGKILL);
    waitpid(pid, status, 0);
  }
  while (waitpid(-1, NULL, WNOHANG) > 0) {}
  return gone == 0 ? STUCK : WIFSIGNALED(*status) ? SIGNALLED : RETURNED;
}

/*
 * These attempts are made to be harmless in a container, and no more than that. The bench puts this file into the root file systems that it makes:
 * whoever starts the program elsewhere gets nothing.
 */
static void only_in_a_container(void) {
  if (access("/this-is-a-probe-container", F_OK) == 0) return;
  fprintf(stderr, "not in a container of the bench: nothing is done here\n");
  exit(3);
}

int main(int argc, char **argv) {
  only_in_a_container();
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const char *what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "wait") == 0) {
    printf("ready\n");
    fflush(stdout);
    sleep(600);
  } else if (strcmp(what, "surface") == 0) surface(argc - 2, argv + 2);
  else if (strcmp(what, "leaks") == 0) leaks();
  else if (strcmp(what, "escapes") == 0) escapes(argc - 2, argv + 2);
  else if (strcmp(what, "attack") == 0 && argc == 4) attack(argv[2], atoi(argv[3]));
  else if (strcmp(what, "hunt") == 0 && argc == 3) hunt(atoi(argv[2]));
  else if (strcmp(what, "true") == 0) return 0;
  else if (strcmp(what, "job") == 0 && argc == 3) job(atoi(argv[2]));
  else return 2;
  return 0;
}
