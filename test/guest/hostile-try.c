/*
 * Attempts by name: `try NAME [ARG]...`, or `try -` with one attempt a line on standard input. Prints a line for each: the attempt, a blank, and
 * `ok`, the errno, or what it has found out. Each runs in a child of its own, so that none stands in another's way.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hostile-guard.h"

static char **words;
static int count;

static const char *word(int i) { return i < count ? words[i] : ""; }
static long number(int i) { return strtol(word(i), NULL, 0); }

static long say(const char *text) {
  printf("%s", text);
  return -2;
}

/* `call NR A B C D E F` */
static long call(void) { return syscall(number(1), number(2), number(3), number(4), number(5), number(6), number(7)); }

static long socket_of(void) {
  int fd = syscall(SYS_socket, number(1), number(2), number(3));
  return fd;
}

static long open_of(void) {
  const char *mode = word(2);
  int flags = strchr(mode, 'w') != NULL ? O_WRONLY : strchr(mode, '+') != NULL ? O_RDWR : O_RDONLY;
  int fd = open(word(1), flags | O_NONBLOCK | (strchr(mode, 'd') != NULL ? O_DIRECTORY : 0));
  if (fd < 0 || count < 4) return fd;
  return write(fd, word(3), strlen(word(3)));
}

/* Reads the first bytes of a file. */
static long cat(void) {
  char text[200];
  int fd = open(word(1), O_RDONLY | O_NONBLOCK);
  if (fd < 0) return fd;
  ssize_t n = read(fd, text, sizeof text - 1);
  if (n < 0) return n;
  text[n] = 0;
  text[strcspn(text, "\n")] = 0;
  return say(text);
}

static long link_of(void) {
  char text[200];
  ssize_t n = readlink(word(1), text, sizeof text - 1);
  if (n < 0) return n;
  text[n] = 0;
  return say(text);
}

/* Device and inode. */
static long identity(void) {
  struct stat st;
  char text[64];
  if (stat(word(1), &st) < 0) return -1;
  snprintf(text, sizeof text, "%lx:%lx", (long)st.st_dev, (long)st.st_ino);
  return say(text);
}

static long list(void) {
  DIR *dir = opendir(word(1));
  if (dir == NULL) return -1;
  char text[4000] = "";
  for (struct dirent *e; (e = readdir(dir)) != NULL;)
    if (e->d_name[0] != '.' && strlen(text) + strlen(e->d_name) + 2 < sizeof text) strcat(strcat(text, text[0] ? "," : ""), e->d_name);
  return say(text);
}

static long clone_with(void) {
  struct clone_args args = {.flags = number(1), .exit_signal = SIGCHLD};
  long pid = strcmp(word(0), "clone3") == 0 ? syscall(SYS_clone3, &args, sizeof args) : syscall(SYS_clone, number(1) | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  return pid;
}

static long setns_of(void) {
  int fd = open(word(1), O_RDONLY);
  return fd < 0 ? fd : setns(fd, 0);
}

static long mount_of(void) { return mount("none", word(1), word(2), 0, NULL); }
static long bind_of(void) { return mount(word(1), word(2), NULL, MS_BIND, NULL); }
static long umount_of(void) { return umount2(word(1), MNT_DETACH); }
static long mknod_of(void) { return mknod(word(1), number(2), number(3)); }
static long kill_of(void) { return kill(number(1), number(2)); }

static long ptrace_of(void) {
  if (strcmp(word(1), "traceme") == 0) return ptrace(PTRACE_TRACEME, 0, 0, 0);
  long result = ptrace(PTRACE_SEIZE, number(1), 0, 0);
  if (result == 0) ptrace(PTRACE_DETACH, number(1), 0, 0);
  return result;
}

/* chroot(2) into a directory below, with a directory above still open, and up from there: it must end at the guest's own root. */
static long chroot_escape(void) {
  struct stat before, after;
  stat("/", &before);
  int up = open("/", O_RDONLY | O_DIRECTORY);
  mkdir("/tmp/cage", 0755);
  if (chroot("/tmp/cage") < 0) return -1;
  if (fchdir(up) < 0) return -1;
  for (int i = 0; i < 64; i++)
    if (chdir("..") < 0) return -1;
  if (chroot(".") < 0 || stat("/", &after) < 0) return -1;
  return say(before.st_dev == after.st_dev && before.st_ino == after.st_ino ? "own root" : "another root");
}

/* A terminal of the guest's own; ioctl number in word 1. */
static long on_terminal(void) {
  int zero = 0;
  char character = 'x';
  int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  if (master < 0) return -1;
  if (ioctl(master, TIOCSPTLCK, &zero) < 0) return -1;
  int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
  if (slave < 0) return -1;
  setsid();
  ioctl(slave, TIOCSCTTY, 0);
  return ioctl(slave, number(1), &character);
}

/* As many MiB as word 1 says, written to a file in memory, and kept. */
static long memfd_fill(void) {
  static char block[1 << 20];
  memset(block, 'x', sizeof block);
  int fd = memfd_create("full", 0);
  if (fd < 0) return -1;
  for (long i = 0; i < number(1); i++)
    for (size_t done = 0; done < sizeof block;) {
      ssize_t n = write(fd, block + done, sizeof block - done);
      if (n < 0) return -1;
      done += n;
    }
  struct stat now;
  return fstat(fd, &now) < 0 || now.st_size != number(1) << 20 ? -1 : 0;
}

static long memfd_exec(void) {
  int fd = memfd_create("program", 0);
  int self = open("/proc/self/exe", O_RDONLY);
  char buffer[65536];
  for (ssize_t n; (n = read(self, buffer, sizeof buffer)) > 0;)
    if (write(fd, buffer, n) != n) return -1;
  char *args[] = {"try", "uid", NULL};
  char *env[] = {NULL};
  return syscall(SYS_execveat, fd, "", args, env, AT_EMPTY_PATH);
}

static long uid_of(void) {
  char text[64];
  snprintf(text, sizeof text, "%d,%d", getuid(), geteuid());
  return say(text);
}

/* `unix connect|listen|wait PATH`, `@` in front of an abstract name. */
static long unix_of(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *name = word(2);
  strncpy(address.sun_path, name, sizeof address.sun_path - 1);
  socklen_t size = sizeof address;
  if (name[0] == '@') {
    address.sun_path[0] = 0;
    size = sizeof(sa_family_t) + strlen(name);
  }
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (strcmp(word(1), "connect") == 0) return connect(fd, (struct sockaddr *)&address, size);
  if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 5) < 0) return -1;
  if (strcmp(word(1), "wait") == 0) pause();
  return 0;
}

/* What the process was given beside its standard streams; close-on-exec does not matter, since nothing is opened here. */
static long descriptors(void) {
  char text[2000] = "", path[64], target[200];
  for (int fd = 3; fd < 4096; fd++) {
    if (fcntl(fd, F_GETFD) < 0) continue;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = 0;
    if (strlen(text) + strlen(target) + 2 < sizeof text) strcat(strcat(text, text[0] ? "," : ""), target);
  }
  return say(text[0] ? text : "none");
}

/* Through descriptor N, a directory: `fchdir N PATH` opens PATH from there. */
static long fchdir_of(void) {
  if (fchdir(number(1)) < 0) return -1;
  return open(word(2), O_RDONLY);
}

static long openat_of(void) { return openat(number(1), word(2), O_RDONLY); }

static long chmod_of(void) { return chmod(word(1), number(2)); }
static long chown_of(void) { return chown(word(1), number(2), number(3)); }

static long handle_of(void) {
  struct { struct file_handle h; char bytes[128]; } handle = {.h = {.handle_bytes = 128}};
  int mount_id;
  if (name_to_handle_at(AT_FDCWD, word(1), &handle.h, &mount_id, 0) < 0) return -1;
  int at = open("/", O_RDONLY);
  return open_by_handle_at(at, &handle.h, O_RDONLY);
}

static void found(const char *what, int pid, const char *name) {
  static char seen[64][300];
  char path[64], target[250] = "", line[300];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  if (readlink(path, target, sizeof target - 1) < 0) return;
  snprintf(line, sizeof line, "%s %s", what, target);
  for (int i = 0; i < 64; i++) {
    if (strcmp(seen[i], line) == 0) return;
    if (seen[i][0] != 0) continue;
    strcpy(seen[i], line);
    printf("%s\n", line);
    fflush(stdout);
    return;
  }
}

/* For some seconds, looks into every other process that appears; prints once what it has been able to open or trace. */
static long hunt(void) {
  long rounds = 0;
  char path[64];
  time_t end = time(NULL) + number(1);
  for (; time(NULL) < end; rounds++)
    for (int pid = 2; pid < 200; pid++) {
      if (pid == getpid() || kill(pid, 0) < 0) continue;
      found("exe", pid, "exe");
      found("root", pid, "root");
      found("cwd", pid, "cwd");
      for (int fd = 0; fd < 20; fd++) {
        snprintf(path, sizeof path, "fd/%d", fd);
        found("fd", pid, path);
      }
      if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
        found("traced", pid, "exe");
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        waitpid(pid, NULL, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
      }
    }
  printf("hunted %ld\n", rounds);
  fflush(stdout);
  return pause();
}

static long fork_bomb(void) {
  for (long made = 0;; made++)
    if (fork() < 0 && usleep(1000) < 0) return made;
}

static const struct {
  const char *name;
  long (*run)(void);
} attempts[] = {
  {"call", call}, {"socket", socket_of}, {"open", open_of}, {"cat", cat}, {"link", link_of}, {"id", identity}, {"list", list}, {"clone", clone_with},
  {"clone3", clone_with}, {"setns", setns_of}, {"mount", mount_of}, {"bind", bind_of}, {"umount", umount_of}, {"mknod", mknod_of}, {"kill", kill_of},
  {"ptrace", ptrace_of}, {"chroot-escape", chroot_escape}, {"terminal", on_terminal}, {"memfd-exec", memfd_exec}, {"memfd-fill", memfd_fill}, {"uid", uid_of}, {"unix", unix_of},
  {"descriptors", descriptors}, {"fchdir", fchdir_of}, {"openat", openat_of}, {"chmod", chmod_of}, {"chown", chown_of}, {"handle", handle_of},
  {"hunt", hunt}, {"fork-bomb", fork_bomb},
};

static void attempt(void) {
  for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
    if (strcmp(word(0), attempts[i].name) != 0) continue;
    errno = 0;
    long result = attempts[i].run();
    if (result != -2) printf("%s", result < 0 ? strerrorname_np(errno) : "ok");
    printf("\n");
    fflush(stdout);
    return;
  }
  printf("no such attempt\n");
}

static void in_child(char *line) {
  char *split[16];
  printf("%s\t", line);
  fflush(stdout);
  words = split;
  count = 0;
  for (char *w = strtok(line, " "); w != NULL && count < 16; w = strtok(NULL, " ")) split[count++] = w;
  pid_t pid = fork();
  if (pid == 0) {
    attempt();
    _exit(0);
  }
  int status;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) printf("SIG%s\n", sigabbrev_np(WTERMSIG(status)));
  fflush(stdout);
}

int main(int argc, char **argv) {
  only_in_a_sandbox();
  if (argc == 2 && strcmp(argv[1], "-") == 0) {
    static char line[1000];
    while (fgets(line, sizeof line, stdin) != NULL) {
      line[strcspn(line, "\n")] = 0;
      in_child(line);
    }
    return 0;
  }
  words = argv + 1;
  count = argc - 1;
  attempt();
  return 0;
}
