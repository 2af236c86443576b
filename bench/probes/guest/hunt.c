/*
 * Looks at every process that comes into the container, from the first moment on, as the guest's programs do in attacks on a runtime that enters by
 * exec: is its image still the runtime's own, on the host, and could it be overwritten? Nothing is opened for writing: access(2) tells.
 *
 * A line for each kind of thing found: `exe`, `root` or `cwd`, where its link leads, and `writable`, `sealed` or an errno; then `hunted`, how many
 * processes were seen, and how many of them could not be looked into.
 */
#include "probe.h"

#include <dirent.h>
#include <sys/stat.h>

static int same(const struct stat *a, const struct stat *b) { return a->st_dev == b->st_dev && a->st_ino == b->st_ino; }

static void tell(const char *line) {
  static char told[64][640];
  for (int i = 0; i < 64; i++) {
    if (strcmp(told[i], line) == 0) return;
    if (told[i][0] != 0) continue;
    snprintf(told[i], sizeof told[i], "%s", line);
    printf("%s\n", line);
    fflush(stdout);
    return;
  }
}

static const char *whether_writable(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
  if (fd >= 0) close(fd);
  if (seals > 0 && (seals & F_SEAL_WRITE) != 0) return "sealed";
  return access(path, W_OK) == 0 ? "writable" : strerrorname_np(errno);
}

/* @return whether the process could be looked into. */
static int look(const char *pid, const char *what, const struct stat *own) {
  char path[300], target[250] = "", line[600];
  struct stat found, later;
  snprintf(path, sizeof path, "/proc/%s/%s", pid, what);
  if (readlink(path, target, sizeof target - 1) < 0) return errno == EACCES || errno == EPERM ? 0 : 1;
  if (stat(path, &found) < 0 || same(&found, own)) return 1;
  const char *how = strcmp(what, "exe") == 0 ? whether_writable(path) : "seen";
  /* It has executed another program, or ended, since: what was found is of both. */
  if (stat(path, &later) < 0 || !same(&found, &later)) return 1;
  snprintf(line, sizeof line, "%s\t%s\t%s", what, target, how);
  tell(line);
  return 1;
}

void hunt(int milliseconds) {
  struct stat program, root;
  stat("/proc/self/exe", &program);
  stat("/", &root);
  printf("ready\n");
  fflush(stdout);
  long long end = now_ns() + milliseconds * 1000000LL;
  long newest = 0, seen = 0, closed = 0;
  for (; now_ns() < end;) {
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc != NULL && (e = readdir(proc)) != NULL;) {
      long pid = atol(e->d_name);
      if (pid <= 1 || pid == getpid()) continue;
      if (pid > newest) {
        newest = pid;
        seen++;
      }
      closed += !look(e->d_name, "exe", &program);
      look(e->d_name, "root", &root);
      look(e->d_name, "cwd", &root);
    }
    closedir(proc);
  }
  printf("hunted\t%ld\t%ld\n", seen, closed);
}
