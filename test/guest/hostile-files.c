/*
 * Random operations on files (their links lead to a `canary` beside the directories, on the host, if they led out): `files SEED SECONDS DIRECTORY...`, by four processes on the same few names. Prints `operations N`.
 * Real contents stay small: what is huge is an offset or a length that no file can have.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "hostile-guard.h"

#define WORKERS 4
#define FDS 8

static uint64_t state;
static int fds[FDS];
static char **directories;
static int directory_count;
static unsigned long *made;

static uint64_t any(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}
static uint64_t below(uint64_t n) { return any() % n; }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void nothing(int signal) { (void)signal; }

/* A call that waits after all is interrupted. */
static void interrupt_calls(void) {
  struct sigaction action = {.sa_handler = nothing};
  struct itimerval often = {{0, 200000}, {0, 200000}};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
}

static const char *name(char *buffer) {
  static const char *parts[] = {"a", "b", "c", "d", "e", "link", "fifo", "..", ".", "...", "a\nb", "\xff\xfe"};
  int n = sprintf(buffer, "%s", directories[below(directory_count)]);
  for (int depth = 1 + below(3); depth > 0; depth--) n += sprintf(buffer + n, "/%s", parts[below(sizeof parts / sizeof *parts)]);
  if (below(200) == 0) {
    memset(buffer + n, 'x', 400);
    buffer[n + 400] = 0;
  }
  return buffer;
}

static const char *attribute(void) {
  static const char *names[] = {"user.a", "user.b", "user.overlay.opaque", "trusted.overlay.opaque", "trusted.a", "security.capability", "security.x", "system.posix_acl_access", "system.posix_acl_default", "user.", "x"};
  return names[below(sizeof names / sizeof *names)];
}

static const char *target(void) {
  static const char *targets[] = {"a", "../canary/file", "../../canary/file", "../../../canary/file", "/proc/self/root/canary/file", "/canary", "..", "/", "link", "c/d", "/proc/self/fd/0"};
  return targets[below(sizeof targets / sizeof *targets)];
}

static int64_t offset(void) {
  static const int64_t huge[] = {INT64_MAX, INT64_MAX - 4095, -1, INT64_MIN, 1ll << 62, 1ll << 60};
  return below(4) == 0 ? huge[below(sizeof huge / sizeof *huge)] : (int64_t)below(65536);
}

static void operate(void) {
  static char one[2048], two[2048], data[65536];
  int *slot = &fds[below(FDS)], fd = *slot, other = fds[below(FDS)];
  struct stat st;
  struct timespec times[2] = {{.tv_sec = (time_t)any(), .tv_nsec = below(1000000000)}, {.tv_sec = 1, .tv_nsec = UTIME_OMIT}};
  switch (below(44)) {
    case 0: case 1: case 2: case 3: case 4: case 5: {
      static const int flags[] = {O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_SYNC, O_NOATIME, O_DIRECT, 0, 0, 0};
      if (fd >= 0) close(fd);
      int f = below(3) | O_NONBLOCK | O_NOCTTY | flags[below(13)] | flags[below(13)];
      *slot = below(20) == 0 ? open(name(one), O_TMPFILE | O_RDWR, 0600) : open(name(one), f, below(010000));
      break;
    }
    case 6: mkdir(name(one), below(010000)); break;
    case 7: rmdir(name(one)); break;
    case 8: case 9: unlink(name(one)); break;
    case 10: case 11: syscall(SYS_renameat2, AT_FDCWD, name(one), AT_FDCWD, name(two), below(8)); break;
    case 12: link(name(one), name(two)); break;
    case 13: symlink(target(), name(one)); break;
    case 14: readlink(name(one), data, sizeof data); break;
    case 15: mknod(name(one), (below(2) ? S_IFIFO : S_IFSOCK) | below(01000), 0); break;
    case 16: mknod(name(one), (below(2) ? S_IFCHR : S_IFBLK) | 0666, 0x103); break;
    case 17: case 18: pwrite(fd, data, below(sizeof data), offset()); break;
    case 19: case 20: pread(fd, data, below(sizeof data), offset()); break;
    case 21: ftruncate(fd, offset()); break;
    case 22: truncate(name(one), offset()); break;
    case 23: fallocate(fd, below(128), offset(), offset()); break;
    case 24: copy_file_range(other, NULL, fd, NULL, below(3) ? below(65536) : (size_t)-1 >> 1, 0); break;
    case 25: sendfile(fd, other, NULL, below(65536)); break;
    case 26: lseek(fd, offset(), below(6)); break;
    case 27: setxattr(name(one), attribute(), data, below(below(50) ? 64 : 65536), below(3)); break;
    case 28: getxattr(name(one), attribute(), data, below(2) ? 0 : sizeof data); break;
    case 29: listxattr(name(one), data, below(2) ? 0 : sizeof data); break;
    case 30: removexattr(name(one), attribute()); break;
    case 31: chmod(name(one), below(010000)); break;
    case 32: lchown(name(one), below(2) ? (uid_t)-1 : any(), below(2) ? (gid_t)-1 : any()); break;
    case 33: utimensat(AT_FDCWD, name(one), times, below(2) ? AT_SYMLINK_NOFOLLOW : 0); break;
    case 34: flock(fd, (1 << below(3)) | LOCK_NB | (below(4) ? 0 : LOCK_UN)); break;
    case 35: {
      struct flock lock = {.l_type = below(3), .l_whence = below(3), .l_start = offset(), .l_len = offset()};
      fcntl(fd, below(2) ? F_SETLK : F_OFD_SETLK, &lock);
      break;
    }
    case 36: {
      struct stat s;
      if (fd < 0 || fstat(fd, &s) < 0 || !S_ISREG(s.st_mode) || s.st_size < 4096) break;
      char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, below(2) ? MAP_SHARED : MAP_PRIVATE, fd, 0);
      if (m == MAP_FAILED) break;
      /* By a call: where another process truncates, it is EFAULT and not SIGBUS. */
      syscall(SYS_getrandom, m, 64, 1);
      msync(m, 4096, MS_SYNC);
      munmap(m, 4096);
      break;
    }
    case 37: {
      DIR *dir = opendir(name(one));
      if (dir == NULL) break;
      for (int i = 0; i < 20 && readdir(dir) != NULL; i++) if (below(10) == 0) seekdir(dir, offset());
      closedir(dir);
      break;
    }
    case 38: fsync(fd); break;
    case 39: { struct statfs s; statfs(name(one), &s); break; }
    case 40: stat(name(one), &st); break;
    case 41: access(name(one), below(8)); break;
    case 42: { int p[2]; if (pipe2(p, O_NONBLOCK) == 0) { splice(fd, NULL, p[1], NULL, 4096, SPLICE_F_NONBLOCK); close(p[0]); close(p[1]); } break; }
    case 43: {
      uint64_t how[8] = {O_NONBLOCK | (below(2) ? below(1 << 23) : 0), below(01000), below(64), any()};
      int found = syscall(SYS_openat2, other, name(one), how, below(2) ? 24 : below(64));
      if (found >= 0) close(found);
      break;
    }
  }
  __atomic_add_fetch(made, 1, __ATOMIC_RELAXED);
}

int main(int argc, char **argv) {
  only_in_a_sandbox();
  if (argc < 4) return 2;
  uint64_t seed = strtoull(argv[1], NULL, 0);
  double end = now() + atof(argv[2]);
  directories = argv + 3;
  directory_count = argc - 3;
  umask(0);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < WORKERS; i++) {
    if (fork() != 0) continue;
    state = (seed + 1) * 0x9e3779b97f4a7c15ull + i * 77;
    for (int f = 0; f < FDS; f++) fds[f] = -1;
    interrupt_calls();
    while (now() < end) operate();
    _exit(0);
  }
  int failed = 0;
  for (int i = 0, status; i < WORKERS; i++) failed |= wait(&status) < 0 || status != 0;
  printf("operations %lu%s\n", *made, failed ? ", and a worker died" : "");
  return failed;
}
