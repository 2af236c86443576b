/* time(7): clocks, sleeping, interval and POSIX timers, timerfd; settings of the clock refused. */
#include "tell.h"
#include <sys/timerfd.h>
#include <sys/timex.h>

static volatile sig_atomic_t rings;
static void ring(int signal) { (void)signal, rings++; }

static double now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void clocks(void) {
  static const struct { const char *name; clockid_t id; } all[] = {
    {"realtime", CLOCK_REALTIME}, {"monotonic", CLOCK_MONOTONIC}, {"process", CLOCK_PROCESS_CPUTIME_ID}, {"thread", CLOCK_THREAD_CPUTIME_ID}, {"raw", CLOCK_MONOTONIC_RAW},
    {"coarse", CLOCK_REALTIME_COARSE}, {"boot", CLOCK_BOOTTIME}, {"tai", CLOCK_TAI}, {"unknown", 77},
  };
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    struct timespec time, resolution;
    printf("clock %s: %d %d\n", all[i].name, clock_gettime(all[i].id, &time), clock_getres(all[i].id, &resolution));
  }
  double first = now(CLOCK_MONOTONIC), second = now(CLOCK_MONOTONIC);
  VALUE("monotonic", "%d", second >= first);
  VALUE("time agrees", "%d", llabs((long long)time(NULL) - (long long)now(CLOCK_REALTIME)) <= 1);
}

static void sleeps(void) {
  double start = now(CLOCK_MONOTONIC);
  nap(30);
  double took = now(CLOCK_MONOTONIC) - start;
  VALUE("slept", "%d %d", took >= 0.03, took < 60);
  struct timespec until, left = {0};
  until = (struct timespec){0, 0};
  VALUE("until the past", "%d", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
  ring_every(20);
  TELL("interrupted", rung(nanosleep(&(struct timespec){100, 0}, &left)));
  VALUE("left", "%d", left.tv_sec > 30 && left.tv_sec < 100);
}

static void intervals(void) {
  rings = 0;
  TELL("setitimer", setitimer(ITIMER_REAL, &(struct itimerval){{0, 5000}, {0, 5000}}, NULL));
  while (rings < 5) nap(1);
  struct itimerval left;
  TELL("stopped", setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, &left));
  VALUE("interval", "%ld", (long)left.it_interval.tv_usec);
  signal(SIGVTALRM, ring);
  rings = 0;
  setitimer(ITIMER_VIRTUAL, &(struct itimerval){{0, 0}, {0, 5000}}, NULL);
  while (rings == 0) {}
  VALUE("of its own time", "%d", rings);
  VALUE("alarm", "%u %u", alarm(100), alarm(0) > 98);
}

static void posix_timers(void) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  rings = 0;
  TELL("timer_create", timer_create(CLOCK_MONOTONIC, &event, &timer));
  TELL("timer_settime", timer_settime(timer, 0, &(struct itimerspec){{0, 1000000}, {0, 1000000}}, NULL));
  while (rings < 5) nap(1);
  struct itimerspec left;
  TELL("timer_gettime", timer_gettime(timer, &left));
  TELL("timer_getoverrun", timer_getoverrun(timer));
  TELL("timer_delete", timer_delete(timer));
  TELL("deleted", timer_gettime(timer, &left));
  TELL("wake-up alarm", timer_create(CLOCK_REALTIME_ALARM, &event, &timer));
}

static void descriptors(void) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  uint64_t count;
  TELL("timerfd", fd);
  TELL("read too early", read(fd, &count, 8));
  TELL("timerfd_settime", timerfd_settime(fd, 0, &(struct itimerspec){{0, 1000000}, {0, 1}}, NULL));
  nap(20);
  TELL("read", read(fd, &count, 8));
  VALUE("expirations", "%d", count >= 10);
  struct itimerspec left;
  TELL("timerfd_gettime", timerfd_gettime(fd, &left));
  VALUE("interval", "%ld", left.it_interval.tv_nsec);
}

int main(void) {
  signal(SIGALRM, ring);
  clocks();
  sleeps();
  intervals();
  posix_timers();
  descriptors();
  struct timex adjustment = {0};
  TELL("adjtimex reads", adjtimex(&adjustment));
  adjustment.modes = ADJ_OFFSET;
  TELL("adjtimex sets", adjtimex(&adjustment));
  TELL("settimeofday", settimeofday(&(struct timeval){1, 0}, NULL));
  TELL("clock_settime", clock_settime(CLOCK_REALTIME, &(struct timespec){1, 0}));
  return 0;
}
