/*
 * What a program can see of a file system, one line an observation: run on the host's own directory first, then on the same directory lent
 * by a gofer, and compared. Everything happens in the current directory. Values that differ from run to run (inode numbers, times of the
 * clock) are told as comparisons.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *name_of(int error) { return error == 0 ? "ok" : strerrorname_np(error); }

/* The result of a call: ok or the errno's name. */
#define TELL(what, call) (errno = 0, (void)((call) < 0 ? printf("%s: %s\n", what, name_of(errno)) : printf("%s: ok\n", what)))
#define VALUE(what, ...) (printf("%s: ", what), printf(__VA_ARGS__), puts(""))

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) VALUE("put", "%s %s", path, name_of(errno));
  close(fd);
}

static void show(const char *what, const char *path) {
  char text[256] = "";
  int fd = open(path, O_RDONLY);
  ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (got < 0) VALUE(what, "%s", name_of(errno));
  else VALUE(what, "%zd \"%.*s\"", got, (int)got, text);
  if (fd >= 0) close(fd);
}

static void show_stat(const char *what, const char *path) {
  struct stat st;
  if (lstat(path, &st) < 0) VALUE(what, "%s", name_of(errno));
  else VALUE(what, "mode %o uid %u gid %u nlink %u size %lld", st.st_mode, st.st_uid, st.st_gid, S_ISDIR(st.st_mode) ? 0 : (unsigned)st.st_nlink,
             S_ISDIR(st.st_mode) ? 0LL : (long long)st.st_size);
}

/* Runs in a child with another identity. */
static void as(uid_t uid, gid_t gid, void (*run)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    if (syscall(SYS_setgroups, 0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0) VALUE("as", "%s", name_of(errno));
    run();
    fflush(stdout);
    _exit(0);
  }
  waitpid(pid, NULL, 0);
}

static void creating(void) {
  struct stat st;
  umask(022);
  int fd = open("made", O_RDWR | O_CREAT | O_EXCL, 06777);
  TELL("create", fd);
  show_stat("created", "made");
  TELL("create again", open("made", O_RDWR | O_CREAT | O_EXCL, 0644));
  TELL("open created", open("made", O_RDWR | O_CREAT, 0644));
  TELL("open O_DIRECTORY", open("made", O_RDONLY | O_DIRECTORY));
  TELL("open O_TMPFILE|wrong", open("made", O_RDWR | O_TMPFILE, 0600));
  TELL("open below a file", open("made/x", O_RDONLY));
  TELL("open for writing a directory", open(".", O_WRONLY));
  TELL("open nothing", open("nothing", O_RDONLY));
  TELL("open O_NOFOLLOW", (symlink("made", "made-link"), open("made-link", O_RDONLY | O_NOFOLLOW)));
  VALUE("same file", "%d", fstat(fd, &st) == 0 && st.st_nlink == 1);
  char longest[300];
  memset(longest, 'n', sizeof longest);
  longest[255] = 0;
  TELL("name of 255", mkdir(longest, 0755));
  TELL("rmdir it", rmdir(longest));
  longest[255] = 'n';
  longest[256] = 0;
  TELL("name of 256", mkdir(longest, 0755));
  TELL("name of bytes", mkdir("\x01\xff\xfe\n", 0755));
  TELL("rmdir of bytes", rmdir("\x01\xff\xfe\n"));
  umask(077);
  TELL("mkdir", mkdir("dir", 01777));
  show_stat("mkdir made", "dir");
  umask(022);
  TELL("mkdir again", mkdir("dir", 0777));
  TELL("mkdir below nothing", mkdir("none/dir", 0777));
  TELL("mkdir .", mkdir(".", 0777));
  TELL("mkfifo", mkfifo("fifo", 0640));
  show_stat("fifo", "fifo");
  TELL("fifo without a reader", open("fifo", O_WRONLY | O_NONBLOCK));
  TELL("mknod file", mknod("node", S_IFREG | 04711, 0));
  show_stat("node", "node");
  TELL("open O_PATH", open("node", O_PATH));
  close(fd);
}

static void set_group_directory(void) {
  mkdir("sg", 0755);
  TELL("chown dir", chown("sg", 0, 77));
  TELL("chmod g+s", chmod("sg", 02777));
  put("sg/file", "x");
  show_stat("file in g+s", "sg/file");
  mkdir("sg/dir", 0755);
  show_stat("dir in g+s", "sg/dir");
  symlink("x", "sg/link");
  show_stat("link in g+s", "sg/link");
}

static void by_another(void) {
  put("other/theirs", "mine");
  show_stat("made by 1000:1001", "other/theirs");
  TELL("chmod of root's", chmod("other/roots", 0777));
  TELL("chown of own to root", chown("other/theirs", 0, 0));
  TELL("chown of own to own group", chown("other/theirs", 1000, 1001));
  TELL("unlink root's in sticky", unlink("other/roots"));
  TELL("rename root's in sticky", rename("other/roots", "other/x"));
  TELL("write root's 0644", open("other/roots", O_WRONLY));
  TELL("read root's 0600", open("other/secret", O_RDONLY));
  TELL("write suid", open("other/suid", O_WRONLY));
  int fd = open("other/suid", O_WRONLY);
  TELL("write to suid", write(fd, "y", 1));
  close(fd);
  show_stat("suid after another wrote", "other/suid");
  fd = open("other/sgid", O_WRONLY);
  TELL("truncate sgid", ftruncate(fd, 1));
  close(fd);
  show_stat("sgid after another truncated", "other/sgid");
  TELL("utimes of root's", utimensat(AT_FDCWD, "other/roots", NULL, 0));
  TELL("mkdir in root's", mkdir("closed/x", 0777));
}

static void identities(void) {
  mkdir("other", 0777);
  chmod("other", 01777);
  mkdir("closed", 0755);
  put("other/roots", "r");
  put("other/secret", "s");
  chmod("other/secret", 0600);
  put("other/suid", "abc");
  put("other/sgid", "abc");
  chmod("other/suid", 04777);
  chmod("other/sgid", 02777);
  as(1000, 1001, by_another);
  put("other/suid-root", "abc");
  chmod("other/suid-root", 04755);
  int fd = open("other/suid-root", O_WRONLY);
  TELL("root writes to suid", write(fd, "y", 1));
  close(fd);
  show_stat("suid after root wrote", "other/suid-root");
  TELL("chown suid", chown("other/suid-root", 5, 6));
  show_stat("suid after chown", "other/suid-root");
  TELL("lchown link", (symlink("roots", "other/link"), lchown("other/link", 7, 8)));
  show_stat("link after lchown", "other/link");
  TELL("chmod dir", chmod("closed", 0500));
  show_stat("dir after chmod", "closed");
}

static void contents(void) {
  char buffer[8192];
  struct stat st;
  put("c", "0123456789");
  int fd = open("c", O_RDWR);
  VALUE("pread past end", "%zd", pread(fd, buffer, 10, 100));
  VALUE("pread at 8", "%zd", pread(fd, buffer, 10, 8));
  VALUE("pwrite at 20", "%zd", pwrite(fd, "zz", 2, 20));
  show("after hole", "c");
  TELL("truncate shorter", ftruncate(fd, 5));
  show("shorter", "c");
  TELL("truncate longer", truncate("c", 8));
  show("longer", "c");
  TELL("truncate negative", ftruncate(fd, -1));
  TELL("truncate a directory", truncate(".", 0));
  close(fd);
  fd = open("c", O_WRONLY | O_APPEND);
  VALUE("append", "%zd", write(fd, "end", 3));
  VALUE("append again", "%zd", pwrite(fd, "END", 3, 0));
  close(fd);
  show("appended", "c");
  fd = open("c", O_WRONLY | O_TRUNC);
  fstat(fd, &st);
  VALUE("O_TRUNC", "%lld", (long long)st.st_size);
  VALUE("read from O_WRONLY", "%zd %s", read(fd, buffer, 1), name_of(errno));
  close(fd);
  fd = open("big", O_RDWR | O_CREAT, 0644);
  memset(buffer, 'b', sizeof buffer);
  for (int i = 0; i < 512; i++) if (write(fd, buffer, sizeof buffer) != sizeof buffer) VALUE("big write", "%s", name_of(errno));
  TELL("fsync", fsync(fd));
  TELL("fdatasync", fdatasync(fd));
  char *map = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  VALUE("mmap", "%d", map != MAP_FAILED);
  map[1 << 20] = 'M';
  TELL("msync", msync(map, 4 << 20, MS_SYNC));
  pread(fd, buffer, 1, 1 << 20);
  VALUE("seen by pread", "%c", buffer[0]);
  pwrite(fd, "P", 1, 2 << 20);
  VALUE("seen by mmap", "%c", map[2 << 20]);
  munmap(map, 4 << 20);
  int out = open("copied", O_RDWR | O_CREAT, 0644);
  off_t in_at = 100, out_at = 50;
  VALUE("copy_file_range", "%zd", copy_file_range(fd, &in_at, out, &out_at, 3 << 20, 0));
  VALUE("offsets", "%lld %lld", (long long)in_at, (long long)out_at);
  off_t sent = 0;
  VALUE("sendfile", "%zd", sendfile(out, fd, &sent, 1000));
  fstat(out, &st);
  VALUE("copied size", "%lld", (long long)st.st_size);
  close(out);
  close(fd);
  TELL("open O_DIRECT", (fd = open("big", O_RDWR | O_DIRECT)) < 0 && errno == EINVAL ? 0 : fd);
  close(fd);
}

static void holes(void) {
  struct stat st;
  int fd = open("holes", O_RDWR | O_CREAT, 0644);
  ftruncate(fd, 4 << 20);
  pwrite(fd, "data", 4, 1 << 20);
  fsync(fd);
  VALUE("first data", "%lld", (long long)lseek(fd, 0, SEEK_DATA));
  off_t hole = lseek(fd, 1 << 20, SEEK_HOLE);
  VALUE("hole behind it", "%d", hole > (1 << 20) && hole <= (1 << 20) + 65536);
  VALUE("no data at the end", "%lld %s", (long long)lseek(fd, 3 << 20, SEEK_DATA), name_of(errno));
  VALUE("past the end", "%lld %s", (long long)lseek(fd, 5 << 20, SEEK_HOLE), name_of(errno));
  TELL("fallocate keep size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 4 << 20, 1 << 20));
  fstat(fd, &st);
  VALUE("kept", "%lld", (long long)st.st_size);
  TELL("fallocate", fallocate(fd, 0, 4 << 20, 1 << 20));
  fstat(fd, &st);
  VALUE("grown", "%lld", (long long)st.st_size);
  TELL("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 65536));
  char byte = 1;
  pread(fd, &byte, 1, 1 << 20);
  VALUE("punched", "%d", byte);
  TELL("fallocate nothing", fallocate(fd, 0, 0, 0));
  TELL("posix_fallocate", (errno = posix_fallocate(fd, 0, 100)) == 0 ? 0 : -1);
  close(fd);
}

static void names(void) {
  struct stat a, b;
  put("one", "1");
  put("two", "2");
  TELL("link", link("one", "one-too"));
  show_stat("linked", "one");
  VALUE("same inode", "%d", stat("one", &a) == 0 && stat("one-too", &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev);
  TELL("link onto", link("one", "two"));
  TELL("link a directory", link(".", "dot"));
  TELL("link nothing", link("nothing", "x"));
  TELL("link a symlink", (symlink("one", "sym"), link("sym", "sym-too")));
  TELL("rename", rename("one", "uno"));
  show("renamed", "uno");
  TELL("old name", access("one", F_OK));
  TELL("rename onto", rename("uno", "two"));
  show("replaced", "two");
  TELL("rename same file", rename("two", "one-too"));
  TELL("both left", access("two", F_OK));
  TELL("noreplace", renameat2(AT_FDCWD, "two", AT_FDCWD, "sym", RENAME_NOREPLACE));
  put("three", "3");
  TELL("exchange", renameat2(AT_FDCWD, "two", AT_FDCWD, "three", RENAME_EXCHANGE));
  show("exchanged two", "two");
  show("exchanged three", "three");
  mkdir("d1", 0755);
  mkdir("d1/d2", 0755);
  put("d1/d2/f", "deep");
  mkdir("d3", 0755);
  TELL("rename directory into itself", rename("d1", "d1/d2/d1"));
  TELL("rename directory", rename("d1/d2", "d3/moved"));
  show("file within", "d3/moved/f");
  TELL("rename onto a full directory", rename("d1", "d3"));
  TELL("rename file onto directory", rename("two", "d1"));
  TELL("rename directory onto file", rename("d1", "two"));
  TELL("rename nothing", rename("nothing", "x"));
  TELL("rmdir full", rmdir("d3"));
  TELL("rmdir a file", rmdir("two"));
  TELL("unlink a directory", unlink("d1"));
  TELL("unlink nothing", unlink("nothing"));
  TELL("rmdir", rmdir("d1"));
  TELL("rmdir .", rmdir("."));
  TELL("rmdir ..", rmdir("d3/.."));
  TELL("symlink onto", symlink("x", "two"));
  TELL("symlink empty", symlink("", "x"));
  char target[4096], got[4096];
  memset(target, 't', sizeof target);
  target[2000] = 0;
  TELL("long symlink", symlink(target, "long"));
  ssize_t length = readlink("long", got, sizeof got);
  VALUE("long target", "%zd %d", length, length > 0 && memcmp(target, got, (size_t)length) == 0);
  TELL("readlink of a file", readlink("two", got, sizeof got));
  symlink("loop", "loop");
  TELL("loop", open("loop", O_RDONLY));
  show_stat("symlink", "long");
}

/* So many others that whoever bounds its descriptors has to close some. */
static void crowd(void) {
  char path[32];
  for (int i = 0; i < 64; i++) {
    snprintf(path, sizeof path, "crowd-%d", i);
    put(path, "x");
  }
}

static void unlinked(void) {
  struct stat st;
  char text[16] = "";
  put("gone", "still here");
  int fd = open("gone", O_RDWR);
  TELL("unlink open", unlink("gone"));
  TELL("name is gone", access("gone", F_OK));
  crowd();
  VALUE("read", "%zd", pread(fd, text, 10, 0));
  VALUE("write", "%zd", pwrite(fd, "more", 4, 10));
  fstat(fd, &st);
  VALUE("stat", "%u %lld", (unsigned)st.st_nlink, (long long)st.st_size);
  TELL("chmod", fchmod(fd, 0600));
  TELL("truncate", ftruncate(fd, 3));
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  show("reopened", path);
  put("gone", "new");
  VALUE("old content", "%zd %.3s", pread(fd, text, 10, 0), text);
  close(fd);
  put("victim", "victim");
  fd = open("victim", O_RDONLY);
  put("winner", "winner");
  TELL("rename over open", rename("winner", "victim"));
  crowd();
  VALUE("victim lives", "%zd %.6s", pread(fd, text, 10, 0), text);
  close(fd);
  mkdir("cwd", 0755);
  chdir("cwd");
  TELL("rmdir cwd", rmdir("../cwd"));
  TELL("create in removed", open("x", O_WRONLY | O_CREAT, 0644));
  VALUE("getcwd", "%s", getcwd(text, sizeof text) == NULL ? name_of(errno) : "ok");
  chdir("..");
}

static void times(void) {
  struct stat st, after;
  struct timespec both[2] = { { 1000000000, 123456789 }, { -5, 987654321 } };
  put("t", "t");
  TELL("utimensat", utimensat(AT_FDCWD, "t", both, 0));
  stat("t", &st);
  VALUE("times", "%lld.%ld %lld.%ld", (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  both[0].tv_nsec = UTIME_OMIT;
  both[1].tv_nsec = UTIME_NOW;
  TELL("utimensat omit, now", utimensat(AT_FDCWD, "t", both, 0));
  stat("t", &st);
  VALUE("atime kept, mtime now", "%lld %d", (long long)st.st_atim.tv_sec, st.st_mtim.tv_sec > 1500000000);
  symlink("t", "t-link");
  both[0] = both[1] = (struct timespec){ 1111, 5 };
  TELL("utimensat of a link", utimensat(AT_FDCWD, "t-link", both, AT_SYMLINK_NOFOLLOW));
  lstat("t-link", &st);
  VALUE("link's mtime", "%lld.%ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  both[0].tv_sec = 4000000000;
  TELL("utimensat after 2038", utimensat(AT_FDCWD, "t", both, 0));
  stat("t", &st);
  VALUE("after 2038", "%lld", (long long)st.st_atim.tv_sec);
  utimensat(AT_FDCWD, "t", both, 0);
  int fd = open("t", O_WRONLY);
  write(fd, "x", 1);
  close(fd);
  stat("t", &after);
  VALUE("write sets mtime", "%d", after.st_mtim.tv_sec > 1500000000);
  mkdir("td", 0755);
  utimensat(AT_FDCWD, "td", both, 0);
  put("td/x", "x");
  stat("td", &after);
  VALUE("creating sets the directory's", "%d", after.st_mtim.tv_sec > 1500000000);
  struct statx sx;
  TELL("statx", statx(AT_FDCWD, "t", 0, STATX_ALL, &sx));
  VALUE("statx", "mask %x mode %o size %lld birth %d", sx.stx_mask & (STATX_BASIC_STATS | STATX_BTIME), sx.stx_mode, (long long)sx.stx_size,
        sx.stx_btime.tv_sec > 1500000000);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void listings(void) {
  enum { COUNT = 3000 };
  static char *seen[2 * COUNT];
  char path[64];
  int found = 0, dots = 0, types = 0;
  mkdir("many", 0755);
  for (int i = 0; i < COUNT; i++) {
    snprintf(path, sizeof path, "many/name-%0*d", i % 40 + 4, i);
    close(open(path, O_WRONLY | O_CREAT, 0644));
  }
  DIR *dir = opendir("many");
  struct dirent *entry;
  long middle = 0;
  char at_middle[256] = "";
  while ((entry = readdir(dir)) != NULL) {
    if (entry->d_name[0] == '.') dots++;
    else seen[found++] = strdup(entry->d_name);
    if (entry->d_type == DT_REG) types++;
    if (found == COUNT / 2 && middle == 0) middle = telldir(dir);
    else if (found == COUNT / 2 + 1 && at_middle[0] == 0) strcpy(at_middle, entry->d_name);
  }
  qsort(seen, (size_t)found, sizeof *seen, compare);
  int unique = found > 0;
  for (int i = 1; i < found; i++) unique += strcmp(seen[i - 1], seen[i]) != 0;
  VALUE("listing", "%d found, %d unique, %d dots, %d regular", found, unique, dots, types);
  seekdir(dir, middle);
  entry = readdir(dir);
  VALUE("seekdir", "%d", entry != NULL && strcmp(entry->d_name, at_middle) == 0);
  rewinddir(dir);
  put("many/late", "x");
  int late = 0;
  while ((entry = readdir(dir)) != NULL) late += strcmp(entry->d_name, "late") == 0;
  VALUE("a new one after rewinddir", "%d", late);
  rewinddir(dir);
  int removed = 0;
  while ((entry = readdir(dir)) != NULL) if (entry->d_name[0] != '.') removed += unlinkat(dirfd(dir), entry->d_name, 0) == 0;
  closedir(dir);
  VALUE("removed while listing", "%d", removed);
  TELL("rmdir", rmdir("many"));
  TELL("opendir of a file", open("late", O_RDONLY | O_DIRECTORY));
}

static void attributes(void) {
  char value[256] = "", list[1024] = "";
  put("x", "x");
  TELL("setxattr", setxattr("x", "user.one", "1234", 4, 0));
  TELL("setxattr create", setxattr("x", "user.one", "5", 1, XATTR_CREATE));
  TELL("setxattr replace nothing", setxattr("x", "user.two", "5", 1, XATTR_REPLACE));
  TELL("setxattr empty", setxattr("x", "user.empty", "", 0, 0));
  VALUE("getxattr", "%zd %.4s", getxattr("x", "user.one", value, sizeof value), value);
  VALUE("getxattr size", "%zd", getxattr("x", "user.one", NULL, 0));
  VALUE("getxattr short", "%zd %s", getxattr("x", "user.one", value, 2), name_of(errno));
  VALUE("getxattr nothing", "%zd %s", getxattr("x", "user.none", value, 2), name_of(errno));
  ssize_t length = listxattr("x", list, sizeof list);
  VALUE("listxattr", "%zd %d", length, memmem(list, (size_t)length, "user.one", 9) != NULL && memmem(list, (size_t)length, "user.empty", 11) != NULL);
  VALUE("listxattr size", "%d", listxattr("x", NULL, 0) == length);
  VALUE("listxattr short", "%zd %s", listxattr("x", list, 2), name_of(errno));
  TELL("removexattr", removexattr("x", "user.one"));
  TELL("removexattr again", removexattr("x", "user.one"));
  TELL("user. on a link", (symlink("x", "x-link"), lsetxattr("x-link", "user.a", "1", 1, 0)));
  mkdir("x-dir", 0755);
  TELL("user. on a directory", setxattr("x-dir", "user.a", "1", 1, 0));
  TELL("unknown namespace", setxattr("x", "nonsense", "1", 1, 0));
}

static void lock_child(void) {
  int fd = open("lock", O_RDWR);
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1 };
  TELL("other's fcntl lock", fcntl(fd, F_SETLK, &lock));
  lock.l_start = 100;
  TELL("free range", fcntl(fd, F_SETLK, &lock));
  lock.l_start = 5;
  TELL("getlk", fcntl(fd, F_GETLK, &lock));
  VALUE("who", "%d %lld %lld %d", lock.l_type == F_WRLCK, (long long)lock.l_start, (long long)lock.l_len, lock.l_pid == getppid());
  TELL("other's flock", flock(fd, LOCK_EX | LOCK_NB));
  TELL("other's shared flock", flock(fd, LOCK_SH | LOCK_NB));
}

/* Waits until the parent lets go. */
static void lock_waiter(void) {
  int fd = open("lock", O_RDWR);
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };
  TELL("waited for fcntl lock", fcntl(fd, F_SETLKW, &lock));
  TELL("waited for flock", flock(fd, LOCK_EX));
  fflush(stdout);
  _exit(0);
}

static void locks(void) {
  put("lock", "0123456789");
  int fd = open("lock", O_RDWR);
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };
  TELL("fcntl lock", fcntl(fd, F_SETLK, &lock));
  TELL("flock", flock(fd, LOCK_EX));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) { lock_child(); fflush(stdout); _exit(0); }
  waitpid(pid, NULL, 0);
  pid = fork();
  if (pid == 0) lock_waiter();
  usleep(100000);
  lock.l_type = F_UNLCK;
  int unlocked = fcntl(fd, F_SETLK, &lock) == 0 && flock(fd, LOCK_UN) == 0;
  waitpid(pid, NULL, 0);
  VALUE("unlocked", "%d", unlocked);
  close(fd);
  fd = open("lock", O_RDWR);
  TELL("flock by first", flock(fd, LOCK_EX));
  int second = open("lock", O_RDWR);
  TELL("flock by second description", flock(second, LOCK_EX | LOCK_NB));
  close(fd);
  TELL("flock after close", flock(second, LOCK_EX | LOCK_NB));
  struct flock ofd = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  TELL("ofd lock", fcntl(second, F_OFD_SETLK, &ofd));
  close(second);
}

static void sockets(void) {
  struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
  int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  TELL("connect to nothing", connect(client, (struct sockaddr *)&address, sizeof address));
  TELL("bind", bind(server, (struct sockaddr *)&address, sizeof address));
  TELL("listen", listen(server, 1));
  TELL("connect", connect(client, (struct sockaddr *)&address, sizeof address));
  TELL("open a socket", open("socket", O_RDWR));
  close(server);
  close(client);
}

static void rest(void) {
  struct statvfs vfs;
  TELL("statvfs", statvfs(".", &vfs));
  VALUE("statvfs", "namemax %lu bsize %d blocks %d", vfs.f_namemax, vfs.f_bsize >= 512, vfs.f_blocks > 0);
  int dir = open(".", O_RDONLY);
  TELL("fsync of a directory", fsync(dir));
  TELL("syncfs", syncfs(dir));
  struct pollfd ready = { dir, POLLIN, 0 };
  VALUE("poll", "%d", poll(&ready, 1, 0) >= 0);
  close(dir);
  put("exe", "#!/bin/sh\necho ran\n");
  chmod("exe", 0755);
  fflush(stdout);
  VALUE("exec", "%d", system("./exe"));
  TELL("access X_OK", access("exe", X_OK));
  TELL("dot dot", access("../.", F_OK));
  int tmp = open(".", O_TMPFILE | O_RDWR, 0600);
  if (tmp >= 0) close(tmp);
  for (int i = 0; i < 500; i++) {
    char path[32];
    snprintf(path, sizeof path, "churn-%d", i);
    put(path, path);
    if (unlink(path) < 0) VALUE("churn", "%s", name_of(errno));
  }
}

int main(int argc, char **argv) {
  static const struct { const char *name; void (*run)(void); } parts[] = {
    { "creating", creating }, { "set-group-directory", set_group_directory }, { "identities", identities }, { "contents", contents },
    { "holes", holes }, { "names", names }, { "unlinked", unlinked }, { "times", times }, { "listings", listings },
    { "attributes", attributes }, { "locks", locks }, { "sockets", sockets }, { "rest", rest },
  };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (argc > 1 && strcmp(argv[1], parts[i].name) != 0) continue;
    if (mkdir(parts[i].name, 0777) < 0 || chdir(parts[i].name) < 0) { perror(parts[i].name); return 1; }
    printf("--- %s\n", parts[i].name);
    parts[i].run();
    fflush(stdout);
    if (chdir("..") < 0) return 1;
  }
  return 0;
}
