/*
 * Taking all there is of one resource, for a while and within bounds of this program's own, whatever the container's limits are; and the small job
 * that a neighbour does meanwhile.
 */
#include "probe.h"

#include <sys/resource.h>
#include <sys/stat.h>

enum { MIB = 1 << 20, MOST_PROCESSES = 300, MOST_MEMORY_MIB = 192, MOST_DISK_MIB = 64, MOST_LOG_MIB = 8, OPENERS = 8 };

static volatile struct {
  /* Of the bomb: those that are, or are about to be, and of them those that are. */
  int reserved, alive;
  int most;
  long opened;
} *shared;

static long long deadline;

/* Every process makes more, until nobody gets another or there are MOST_PROCESSES. */
static void bomb(void) {
  while (now_ns() < deadline) {
    if (__atomic_add_fetch(&shared->reserved, 1, __ATOMIC_SEQ_CST) > MOST_PROCESSES) {
      __atomic_sub_fetch(&shared->reserved, 1, __ATOMIC_SEQ_CST);
      nanosleep(&(struct timespec){0, 1000000}, NULL);
      continue;
    }
    pid_t pid = fork();
    if (pid < 0) {
      __atomic_sub_fetch(&shared->reserved, 1, __ATOMIC_SEQ_CST);
      continue;
    }
    if (pid == 0) {
      int alive = __atomic_add_fetch(&shared->alive, 1, __ATOMIC_SEQ_CST);
      if (alive > shared->most) shared->most = alive;
      bomb();
      __atomic_sub_fetch(&shared->alive, 1, __ATOMIC_SEQ_CST);
      _exit(0);
    }
  }
}

static void attack_processes(void) {
  bomb();
  while (wait(NULL) > 0) {}
  printf("had\t%d\t%d\n", shared->most, MOST_PROCESSES);
}

/* In a child: it may be killed for it. */
static void attack_memory(void) {
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < MOST_MEMORY_MIB; i++) {
      char *block = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (block == MAP_FAILED) break;
      memset(block, i | 1, MIB);
      shared->most = i + 1;
    }
    while (now_ns() < deadline) nanosleep(&(struct timespec){0, 10000000}, NULL);
    _exit(0);
  }
  waitpid(pid, NULL, 0);
  while (now_ns() < deadline) nanosleep(&(struct timespec){0, 10000000}, NULL);
  printf("had\t%d\t%d\n", shared->most, MOST_MEMORY_MIB);
}

static void attack_descriptors(void) {
  for (int i = 0; i < OPENERS; i++) {
    if (fork() != 0) continue;
    long opened = 0;
    while (open("/dev/null", O_RDONLY) >= 0 && opened < 4096) opened++;
    __atomic_add_fetch(&shared->opened, opened, __ATOMIC_SEQ_CST);
    while (now_ns() < deadline)
      if (open("/dev/null", O_RDONLY) >= 0) close(opened);
    _exit(0);
  }
  while (wait(NULL) > 0) {}
  printf("had\t%ld\t%d\n", shared->opened, OPENERS * 4096);
}

/* The last MIB of each round is written again, until the time is over. */
static void attack_disk(void) {
  static char block[MIB];
  memset(block, 'x', sizeof block);
  int fd = open("/tmp/filled", O_CREAT | O_TRUNC | O_WRONLY, 0600);
  long written = 0;
  if (fd >= 0) {
    for (; written < MOST_DISK_MIB && now_ns() < deadline; written++)
      if (write(fd, block, sizeof block) != sizeof block) break;
    while (now_ns() < deadline && written > 0 && pwrite(fd, block, sizeof block, 0) > 0) {}
  }
  unlink("/tmp/filled");
  printf("had\t%ld\t%d\n", written, MOST_DISK_MIB);
}

static void attack_log(void) {
  static char lines[MIB / 4];
  memset(lines, '.', sizeof lines);
  for (size_t i = 127; i < sizeof lines; i += 128) lines[i] = '\n';
  long written = 0;
  while (now_ns() < deadline && written < MOST_LOG_MIB * (long)MIB) {
    ssize_t n = write(1, lines, sizeof lines);
    if (n <= 0) break;
    written += n;
  }
  while (now_ns() < deadline) nanosleep(&(struct timespec){0, 10000000}, NULL);
  printf("\nhad\t%ld\t%d\n", written / MIB, MOST_LOG_MIB);
}

static const struct {
  const char *name;
  void (*run)(void);
} attacks[] = {{"processes", attack_processes}, {"memory", attack_memory}, {"descriptors", attack_descriptors}, {"disk", attack_disk}, {"log", attack_log}};

static void tell_the_time(const char *what) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  printf("\n%s\t%lld\n", what, t.tv_sec * 1000LL + t.tv_nsec / 1000000);
  fflush(stdout);
}

/* Its beginning and end in ms of the wall clock, and how much was had of how much that it would have taken at most. */
void attack(const char *name, int milliseconds) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  deadline = now_ns() + milliseconds * 1000000LL;
  for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++)
    if (strcmp(attacks[i].name, name) == 0) {
      tell_the_time("began");
      attacks[i].run();
      tell_the_time("ended");
    }
}

/* A process, a pipe and a file: what a small service asks of its kernel. */
static int small_job(void) {
  char text[512] = "";
  int ends[2];
  if (pipe(ends) < 0) return -1;
  pid_t pid = fork();
  if (pid == 0) _exit(write(ends[1], text, sizeof text) == sizeof text ? 0 : 1);
  int status = 1;
  if (pid > 0) waitpid(pid, &status, 0);
  int fd = open("/tmp/job", O_CREAT | O_TRUNC | O_RDWR, 0600);
  int fine = pid > 0 && status == 0 && read(ends[0], text, sizeof text) == sizeof text && write(fd, text, sizeof text) == sizeof text;
  close(fd);
  close(ends[0]);
  close(ends[1]);
  return fine && unlink("/tmp/job") == 0 ? 0 : -1;
}

/* A line for each: when it began (ms of the wall clock), how long it took (ns), and whether it came out right. */
void job(int milliseconds) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  long long end = now_ns() + milliseconds * 1000000LL;
  while (now_ns() < end) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    long long start = now_ns();
    int failed = small_job();
    printf("%lld\t%lld\t%s\n", t.tv_sec * 1000LL + t.tv_nsec / 1000000, now_ns() - start, failed ? "failed" : "done");
    nanosleep(&(struct timespec){0, 5000000}, NULL);
  }
}
