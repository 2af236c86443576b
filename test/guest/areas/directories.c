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
  links();
  systems();
  return 0;
}
