/* execve(2), execveat(2), fexecve(3): /proc/self/exe, scripts, descriptors, set-id programs, files of a volume, what is inherited. */
#include "tell.h"
#include <linux/limits.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>

extern char **environ;
static const char *self;

static int spawn(const char *path, char *const arguments[], char *const environment[]) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    execve(path, arguments, environment);
    printf("execve: %s\n", strerrorname_np(errno));
    fflush(stdout);
    _exit(100);
  }
  return ended(pid);
}

static int spawn_at(int fd, const char *path, int flags) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    syscall(SYS_execveat, fd, path, (char *const[]){"at", "told", NULL}, environ, flags);
    printf("execveat: %s\n", strerrorname_np(errno));
    fflush(stdout);
    _exit(100);
  }
  return ended(pid);
}

static void put(const char *path, const char *text, mode_t mode) {
  int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0700);
  if (write(fd, text, strlen(text)) < 0) puts("put");
  close(fd);
  chmod(path, mode);
}

static void copy_self(const char *path) {
  int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0755);
  struct stat st;
  fstat(from, &st);
  sendfile(to, from, NULL, (size_t)st.st_size);
  fchmod(to, 0755);
  close(to);
}

static void scripts(const char *directory) {
  char path[64], text[600];
  char *const none[] = {"name", "argument", NULL};
  VALUE("scripts in", "%s", directory);
  snprintf(path, sizeof path, "%s/script", directory);
  put(path, "#!/bin/sh -e\necho \"$0 $1\" | sed s:.*/::; exit 21\n", 0755);
  VALUE("script", "%d", spawn(path, none, environ));
  put(path, "#!/bin/sh\nexit 1\n", 0644);
  VALUE("not executable", "%d", spawn(path, none, environ));
  put(path, "#!/no/such/interpreter\n", 0755);
  VALUE("no interpreter", "%d", spawn(path, none, environ));
  snprintf(text, sizeof text, "#!%s script\n", self);
  put(path, text, 0755);
  VALUE("interpreted by this", "%d", spawn(path, none, environ));
  put(path, "exit 3\n", 0755);
  VALUE("no magic number", "%d", spawn(path, none, environ));
  put(path, "", 0755);
  VALUE("empty", "%d", spawn(path, none, environ));
  int fd = open(path, O_WRONLY);
  put(path, "#!/bin/sh\nexit 5\n", 0755);
  VALUE("open for writing", "%d", spawn(path, none, environ));
  close(fd);
  VALUE("a directory", "%d", spawn(directory, none, environ));
  fd = open(path, O_RDONLY);
  VALUE("by descriptor", "%d", spawn_at(fd, "", AT_EMPTY_PATH));
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  VALUE("a script by a descriptor that closes", "%d", spawn_at(fd, "", AT_EMPTY_PATH));
  VALUE("relative to a directory", "%d", spawn_at(open(directory, O_PATH), "script", 0));
  if (symlink(path, "/tmp/link") < 0) return;
  VALUE("not through a link", "%d", spawn_at(AT_FDCWD, "/tmp/link", AT_SYMLINK_NOFOLLOW));
  unlink("/tmp/link");
}

static void programs(const char *directory) {
  char path[64], link[PATH_MAX] = "";
  VALUE("programs in", "%s", directory);
  snprintf(path, sizeof path, "%s/program", directory);
  copy_self(path);
  VALUE("copied", "%d", spawn(path, (char *const[]){"x", "told", NULL}, environ));
  int fd = open(path, O_PATH | O_CLOEXEC);
  VALUE("fexecve", "%d", spawn_at(fd, "", AT_EMPTY_PATH));
  unlink(path);
  VALUE("fexecve of what is unlinked", "%d", spawn_at(fd, "", AT_EMPTY_PATH));
  copy_self(path);
  TELL("written to while it runs", open("/proc/self/exe", O_WRONLY));
  chmod(path, 04755);
  if (chown(path, 7, 8) < 0 || chmod(path, 06755) < 0) puts("chown");
  VALUE("set-id, no new privileges", "%d", spawn(path, (char *const[]){"x", "ids", NULL}, environ));
  unlink(path);
  TELL("readlink of /proc/self/exe", readlink("/proc/self/exe", link, sizeof link - 1));
  VALUE("is this", "%d", strcmp(link, self) == 0);
}

static int told(char **arguments) {
  printf("told %s, secure %lu, auxv exe %d\n", arguments[0], getauxval(AT_SECURE), strlen((char *)getauxval(AT_EXECFN)) > 0);
  return 31;
}

int main(int count, char **arguments) {
  if (count > 1 && strcmp(arguments[1], "told") == 0) return told(arguments);
  if (count > 1 && strcmp(arguments[1], "script") == 0) return count + 40;
  if (count > 1 && strcmp(arguments[1], "ids") == 0) return printf("ids %u %u %u %u\n", getuid(), geteuid(), getgid(), getegid()), 32;
  if (count > 1 && strcmp(arguments[1], "inherited") == 0) return printf("descriptors %d %d, umask %o\n", fcntl(50, F_GETFD), fcntl(51, F_GETFD), umask(0)), 33;
  self = arguments[0];
  VALUE("/proc/self/exe", "%d", spawn("/proc/self/exe", (char *const[]){"x", "told", NULL}, environ));
  dup2(0, 50);
  dup3(0, 51, O_CLOEXEC);
  umask(027);
  VALUE("inherited", "%d", spawn(self, (char *const[]){"x", "inherited", NULL}, environ));
  umask(022);
  scripts("/root");
  scripts("/volume");
  programs("/root");
  programs("/volume");
  programs("/dev");
  VALUE("on a mount without exec", "%d", (copy_self("/dev/shm/program"), spawn("/dev/shm/program", (char *const[]){"x", "told", NULL}, environ)));
  int memory = memfd_create("program", 0), from = open(self, O_RDONLY);
  struct stat st;
  fstat(from, &st);
  sendfile(memory, from, NULL, (size_t)st.st_size);
  VALUE("in memory", "%d", spawn_at(memory, "", AT_EMPTY_PATH));
  close(memory);
  VALUE("not there", "%d", spawn("/nothing", (char *const[]){"x", NULL}, environ));
  char *big = malloc(200000);
  memset(big, 'x', 200000);
  big[199999] = 0;
  VALUE("an argument too long", "%d", spawn(self, (char *const[]){"x", big, NULL}, environ));
  VALUE("no environment", "%d", spawn("/bin/sh", (char *const[]){"sh", "-c", "env | grep -v _= | sort", NULL}, (char *const[]){NULL}));
  VALUE("/proc of the dead", "%d", access("/proc/4000000/exe", F_OK));
  return 0;
}
