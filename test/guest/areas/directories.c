/* The current directory, `..`, chroot(2), links, openat2(2), handles; the parts of /proc that lead to files. */
#include "tell.h"
#include <dirent.h>
#include <linux/limits.h>
#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

static void where(const char *what) {
  char path[PATH_MAX] = "", link[PATH_MAX] = "";
  char *found = getcwd(path, sizeof path);
  ssize_t got = readlink("/proc/self/cwd", link, sizeof link - 1);
  VALUE(what, "%s, /proc %s", found == NULL ? strerrorname_np(errno) : path, got < 0 ? strerrorname_np(errno) : link);
}

static void moves(const char *top) {
  TELL("to it", chdir(top));
  TELL("mkdir", mkdir("a", 0755) | mkdir("a/b", 0755) | mkdir("c", 0755));
  TELL("down", chdir("a/b"));
  where("there");
  int here = open(".", O_RDONLY | O_DIRECTORY), path_only = open("..", O_PATH);
  TELL("moved from under", renameat(AT_FDCWD, "../../a", AT_FDCWD, "../../c/moved"));
  where("moved");
  TELL("up", chdir(".."));
  where("above");
  TELL("fchdir", fchdir(here));
  where("back");
  TELL("fchdir of O_PATH", fchdir(path_only));
  where("there");
  TELL("many dots", chdir("../../../../../../../../../.."));
  where("root");
  TELL("above root", chdir("/.."));
  where("still");
  fchdir(here);
  TELL("removed from under", rmdir("../b"));
  where("removed");
  TELL("made in it", open("x", O_CREAT, 0600));
  TELL("up from it", chdir(".."));
  where("above");
  TELL("cleaned", chdir(top) | rmdir("c/moved") | rmdir("c"));
}

static int confined(void) {
  int outside = open("/", O_PATH | O_DIRECTORY);
  char path[PATH_MAX];
  TELL("mkdir", mkdir("/root/jail", 0755) | mkdir("/root/jail/sub", 0755));
  TELL("chroot", chroot("/root/jail"));
  VALUE("cwd", "%s", getcwd(path, sizeof path) == NULL ? strerrorname_np(errno) : path);
  TELL("in", chdir("/"));
  TELL("up", chdir("../../.."));
  where("root");
  TELL("not there", access("/etc/passwd", F_OK));
  TELL("the descriptor leads out, natively too", fchdir(outside));
  TELL("and is no way beyond", chdir("../../../.."));
  VALUE("root's names", "%d %d", access("etc/passwd", F_OK), access("usr", F_OK));
  TELL("chroot back", chroot("."));
  TELL("there again", access("/etc/passwd", F_OK));
  return setgid(1) | setuid(1) | (chroot("/root") == 0);
}

static int holds(const char *path, char wanted) {
  char found = 0;
  int fd = open(path, O_RDONLY);
  if (fd < 0 || read(fd, &found, 1) != 1) found = 0;
  close(fd);
  return found == wanted;
}

static void put(const char *path, char content) {
  int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
  TELL(path, write(fd, &content, 1));
  close(fd);
}

/* A name, one through an absolute link, one of /proc, by turns from two roots. */
static int in_turns(int from, int to, char content, int first) {
  int right = 0;
  char turn;
  for (int i = 0; i < 20; i++) {
    if (i > 0 || !first) read(from, &turn, 1);
    right += holds("/root/name", content) + holds("/root/link", content) + holds("/../root/../root/name", content) + (access("/proc/self/only", F_OK) == 0);
    write(to, "x", 1);
  }
  return right;
}

static void two_roots(void) {
  int there[2], back[2];
  put("/root/name", 'o');
  TELL("link", symlink("/root/name", "/root/link"));
  TELL("jail", mkdir("/root/other", 0755) | mkdir("/root/other/root", 0755) | mkdir("/root/other/proc", 0755) | mkdir("/root/other/proc/self", 0755));
  put("/root/other/root/name", 'i');
  put("/root/other/proc/self/only", 'p');
  TELL("link", symlink("/root/name", "/root/other/root/link"));
  if (pipe(there) < 0 || pipe(back) < 0) return;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) _exit(chroot("/root/other") < 0 || chdir("/") < 0 ? 1 : in_turns(there[0], back[1], 'i', 0));
  VALUE("from the old root", "%d", in_turns(back[0], there[1], 'o', 1));
  VALUE("from the new", "%d", ended(pid));
  VALUE("a child's root leads", "%d", holds("/root/other/root/link", 'o'));
  TELL("cleaned", unlink("/root/link") | unlink("/root/name"));
}

static int how(const char *path, uint64_t resolve) {
  struct open_how how = {.flags = O_RDONLY, .resolve = resolve};
  return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static void links(void) {
  chdir("/root");
  TELL("symlinks", symlink("/etc/passwd", "outward") | symlink("loop", "loop") | symlink("../../../../etc", "upward"));
  TELL("loop", open("loop", O_RDONLY));
  TELL("upward", access("upward/passwd", F_OK));
  TELL("RESOLVE_BENEATH", how("outward", RESOLVE_BENEATH));
  TELL("RESOLVE_IN_ROOT", how("outward", RESOLVE_IN_ROOT));
  TELL("RESOLVE_NO_SYMLINKS", how("outward", RESOLVE_NO_SYMLINKS));
  TELL("RESOLVE_NO_MAGICLINKS", how("/proc/self/fd/0", RESOLVE_NO_MAGICLINKS));
  TELL("RESOLVE_NO_XDEV", how("/proc/version", RESOLVE_NO_XDEV));
  TELL("O_NOFOLLOW", open("outward", O_RDONLY | O_NOFOLLOW));
  TELL("across mounts", link("/etc/passwd", "/volume/x"));
  TELL("rename across mounts", rename("/root/outward", "/volume/outward"));
  int deleted = open("gone", O_CREAT | O_RDWR, 0600);
  unlink("gone");
  char path[64], link[PATH_MAX] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", deleted);
  TELL("readlink", readlink(path, link, sizeof link - 1));
  VALUE("deleted", "%s", link);
  TELL("linkat of a descriptor", linkat(AT_FDCWD, path, AT_FDCWD, "/root/back", AT_SYMLINK_FOLLOW));
  int nameless = open("/root", O_TMPFILE | O_RDWR, 0600);
  TELL("O_TMPFILE", nameless);
  snprintf(path, sizeof path, "/proc/self/fd/%d", nameless);
  TELL("gets a name", linkat(AT_FDCWD, path, AT_FDCWD, "/root/named", AT_SYMLINK_FOLLOW));
  TELL("/proc/self/root", access("/proc/self/root/etc/passwd", F_OK));
  TELL("/proc/1/root", access("/proc/1/root/etc/passwd", F_OK));
  TELL("/proc/1/cwd/..", access("/proc/1/cwd/../../etc/passwd", F_OK));
  TELL("open by handle", syscall(SYS_open_by_handle_at, AT_FDCWD, &deleted, O_RDONLY));
}

static void many(const char *top) {
  char name[300];
  int count = 0;
  chdir(top);
  mkdir("many", 0755);
  for (int i = 0; i < 3000; i++) {
    snprintf(name, sizeof name, "many/%d", i);
    close(open(name, O_CREAT | O_WRONLY, 0600));
  }
  DIR *directory = opendir("many");
  long third = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL; count++) if (count == 2) third = telldir(directory);
  VALUE("entries", "%d", count);
  seekdir(directory, third);
  for (count = 0; readdir(directory) != NULL; count++) {}
  VALUE("from the fourth on", "%d", count);
  rewinddir(directory);
  for (count = 0; count < 3002; count++) {
    struct dirent *entry = readdir(directory);
    if (entry == NULL) break;
    if (entry->d_name[0] != '.') unlinkat(dirfd(directory), entry->d_name, 0);
  }
  closedir(directory);
  TELL("all removed", rmdir("many"));
  memset(name, 'n', sizeof name);
  name[255] = 0;
  TELL("255 bytes", open(name, O_CREAT | O_WRONLY, 0600) | unlink(name));
  name[255] = 'n';
  name[256] = 0;
  TELL("256 bytes", open(name, O_CREAT | O_WRONLY, 0600));
}

static void systems(void) {
  static const char *const paths[] = {"/proc", "/dev/shm", "/dev/pts"};
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    struct statfs info;
    TELL(paths[i], statfs(paths[i], &info));
    VALUE("type", "%lx", (long)info.f_type);
  }
}

int main(void) {
  VALUE("in", "/root");
  moves("/root");
  many("/root");
  VALUE("in", "/volume");
  moves("/volume");
  many("/volume");
  VALUE("jail", "%d", inside(confined));
  two_roots();
  links();
  systems();
  return 0;
}
