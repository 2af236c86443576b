/*
 * `files SMALL MEGABYTES DIRECTORY...`: SMALL small files are written, walked, read and removed, MEGABYTES are written and read in order and at random places.
 * The group of a measurement is the base name of its directory.
 */
#include "common.h"
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#define PER_FOLDER 50
#define SMALL_SIZE 2048
#define BLOCK 4096
#define CHUNK (128 * 1024)
#define RANDOM_CALLS 20000
#define SYNCS 200

static char block[CHUNK];
static const char *group;
static long walked;

static void name_of(char *name, size_t size, long i) { snprintf(name, size, "tree/%ld/%ld", i / PER_FOLDER, i % PER_FOLDER); }

static void write_small(long count) {
  char name[64];
  must(mkdir("tree", 0755), "mkdir");
  for (long i = 0; i < count; i++) {
    if (i % PER_FOLDER == 0) {
      snprintf(name, sizeof name, "tree/%ld", i / PER_FOLDER);
      must(mkdir(name, 0755), "mkdir");
    }
    name_of(name, sizeof name, i);
    int fd = must(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644), "create");
    if (write(fd, block, SMALL_SIZE) != SMALL_SIZE) fail("write");
    close(fd);
  }
}

static void read_small(long count) {
  char name[64];
  for (long i = 0; i < count; i++) {
    name_of(name, sizeof name, i);
    int fd = must(open(name, O_RDONLY), "open");
    if (read(fd, block, CHUNK) != SMALL_SIZE) fail("read");
    close(fd);
  }
}

static int visit(const char *path, const struct stat *status, int type, struct FTW *at) {
  (void)path, (void)status, (void)type, (void)at;
  walked++;
  return 0;
}

static int erase(const char *path, const struct stat *status, int type, struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(path);
}

static void small_files(long count) {
  double start = now();
  write_small(count);
  report(group, "small files, written", "op/s", count * 1e9 / (now() - start));
  start = now();
  must(nftw("tree", visit, 16, FTW_PHYS), "nftw");
  report(group, "tree walk, entries", "op/s", walked * 1e9 / (now() - start));
  walked = 0;
  start = now();
  read_small(count);
  report(group, "small files, read", "op/s", count * 1e9 / (now() - start));
  start = now();
  must(nftw("tree", erase, 16, FTW_PHYS | FTW_DEPTH), "remove");
  report(group, "small files, removed", "op/s", count * 1e9 / (now() - start));
}

/* The same on every run and under every runtime: a linear congruential generator, Knuth's constants. */
static off_t next_place(off_t blocks) {
  static unsigned long long state = 1;
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (off_t)((state >> 33) % (unsigned long long)blocks) * BLOCK;
}

static void sequential(int fd, long megabytes, const char *name, ssize_t (*io)(int, off_t)) {
  off_t size = (off_t)megabytes << 20;
  double start = now();
  for (off_t at = 0; at < size; at += CHUNK) if (io(fd, at) != CHUNK) fail(name);
  report(group, name, "MiB/s", megabytes * 1e9 / (now() - start));
}

static ssize_t write_chunk(int fd, off_t at) { return pwrite(fd, block, CHUNK, at); }
static ssize_t read_chunk(int fd, off_t at) { return pread(fd, block, CHUNK, at); }

static void large_file(long megabytes) {
  int fd = must(open("large", O_RDWR | O_CREAT | O_TRUNC, 0644), "large");
  off_t blocks = ((off_t)megabytes << 20) / BLOCK;
  sequential(fd, megabytes, "sequential write, 128k", write_chunk);
  sequential(fd, megabytes, "sequential read, 128k", read_chunk);
  double start = now();
  for (int i = 0; i < RANDOM_CALLS; i++) if (pread(fd, block, BLOCK, next_place(blocks)) != BLOCK) fail("pread");
  report(group, "random read, 4k", "op/s", RANDOM_CALLS * 1e9 / (now() - start));
  start = now();
  for (int i = 0; i < RANDOM_CALLS; i++) if (pwrite(fd, block, BLOCK, next_place(blocks)) != BLOCK) fail("pwrite");
  report(group, "random write, 4k", "op/s", RANDOM_CALLS * 1e9 / (now() - start));
  start = now();
  for (int i = 0; i < SYNCS; i++) {
    if (pwrite(fd, block, BLOCK, (off_t)i * BLOCK) != BLOCK) fail("pwrite");
    must(fsync(fd), "fsync");
  }
  report(group, "write 4k and fsync", "op/s", SYNCS * 1e9 / (now() - start));
  close(fd);
  must(unlink("large"), "unlink");
}

int main(int count, char **arguments) {
  if (count < 4) return 1;
  for (int i = 3; i < count; i++) {
    group = strrchr(arguments[i], '/') + 1;
    must(chdir(arguments[i]), "chdir");
    small_files(atol(arguments[1]));
    large_file(atol(arguments[2]));
  }
  return 0;
}
