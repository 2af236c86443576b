/* `processes COUNT`: programs and threads, COUNT of each: one after another, many at a time, in a pipeline. */
#include "common.h"
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_A_TIME 20
#define STAGES 4
#define MEGABYTES 64
#define HEAP (64 << 20)
#define CHUNK 65536

static char self[4096], chunk[CHUNK];
static char *const child_arguments[] = {self, NULL};
static char *const environment[] = {NULL};

static pid_t spawn_one(void) {
  pid_t pid;
  errno = posix_spawn(&pid, self, NULL, NULL, child_arguments, environment);
  if (errno != 0) fail("posix_spawn");
  return pid;
}

static void reap(int count) {
  int status;
  while (count-- > 0) if (must(wait(&status), "wait") > 0 && status != 0) exit(1);
}

static void *nothing(void *argument) { return argument; }

static void programs(int count) {
  double start = now();
  for (int i = 0; i < count; i++) spawn_one(), reap(1);
  report("", "programs, one after another", "op/s", count * 1e9 / (now() - start));
  start = now();
  for (int i = 0; i < count; i += AT_A_TIME) {
    for (int j = 0; j < AT_A_TIME; j++) spawn_one();
    reap(AT_A_TIME);
  }
  report("", "programs, 20 at a time", "op/s", count * 1e9 / (now() - start));
}

static void threads(int count) {
  pthread_t all[AT_A_TIME];
  double start = now();
  for (int i = 0; i < count; i += AT_A_TIME) {
    for (int j = 0; j < AT_A_TIME; j++) if ((errno = pthread_create(&all[j], NULL, nothing, NULL)) != 0) fail("pthread_create");
    for (int j = 0; j < AT_A_TIME; j++) pthread_join(all[j], NULL);
  }
  report("", "threads, 20 at a time", "op/s", count * 1e9 / (now() - start));
}

/* What a server with a heap pays that forks for each request: its page tables are copied, and written pages. */
static void forks_with_heap(int count) {
  char *heap = mmap(NULL, HEAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (heap == MAP_FAILED) fail("mmap");
  memset(heap, 1, HEAP);
  double start = now();
  for (int i = 0; i < count; i++) {
    pid_t pid = must(fork(), "fork");
    if (pid == 0) {
      for (int page = 0; page < 100; page++) heap[page * 4096L] = 2;
      _exit(0);
    }
    reap(1);
  }
  report("", "forks of 64 MiB, 100 pages written", "op/s", count * 1e9 / (now() - start));
  munmap(heap, HEAP);
}

static void copy_all(int in, int out) {
  ssize_t n;
  while ((n = read(in, chunk, CHUNK)) > 0) if (write(out, chunk, n) != n) _exit(1);
  _exit(n < 0);
}

static void pipeline(void) {
  int in, ends[2];
  double start = now();
  must(pipe(ends), "pipe");
  if (must(fork(), "fork") == 0) {
    close(ends[0]);
    for (long left = (long)MEGABYTES << 20; left > 0; left -= CHUNK) for (long done = 0; done < CHUNK;) done += must(write(ends[1], chunk + done, CHUNK - done), "write");
    _exit(0);
  }
  close(ends[1]);
  in = ends[0];
  for (int i = 0; i < STAGES - 2; i++) {
    must(pipe(ends), "pipe");
    if (must(fork(), "fork") == 0) {
      close(ends[0]);
      copy_all(in, ends[1]);
    }
    close(in);
    close(ends[1]);
    in = ends[0];
  }
  long total = 0;
  ssize_t n;
  while ((n = read(in, chunk, CHUNK)) > 0) total += n;
  reap(STAGES - 1);
  if (total != (long)MEGABYTES << 20) fail("pipeline");
  report("", "pipeline of 4 processes", "MiB/s", MEGABYTES * 1e9 / (now() - start));
}

int main(int count, char **arguments) {
  if (count < 2) return 0; /* What is spawned. */
  must(readlink("/proc/self/exe", self, sizeof self - 1), "readlink /proc/self/exe");
  int each = atoi(arguments[1]);
  programs(each);
  threads(each);
  forks_with_heap(each / 2);
  pipeline();
  return 0;
}
