/*
 * Races in a volume: `race SECONDS`. One process swaps a directory with a symbolic link that leads out, and a file with another; others open,
 * create, rename and list through these names. Prints how often each got through, and `LEAK` if one has read what lies outside.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static time_t end;
static int going(void) { return time(NULL) < end; }

static void swap(void) {
  while (going()) {
    renameat2(AT_FDCWD, "d", AT_FDCWD, "out", RENAME_EXCHANGE);
    renameat2(AT_FDCWD, "file", AT_FDCWD, "link", RENAME_EXCHANGE);
    renameat2(AT_FDCWD, "deep/d", AT_FDCWD, "d", RENAME_EXCHANGE);
  }
}

static void look(const char *text, ssize_t length) {
  if (length > 0 && memmem(text, (size_t)length, "nobody may read this", 20) != NULL) puts("LEAK");
}

static void reach(void) {
  static const char *const names[] = { "d/file", "out/file", "file", "link", "deep/d/file", "deep/d/../d/file" };
  char text[256], path[64];
  long opened = 0, made = 0, listed = 0;
  for (unsigned i = 0; going(); i++) {
    int fd = open(names[i % 6], O_RDWR | (i % 3 == 0 ? O_CREAT : 0), 0644);
    if (fd >= 0) { opened++; look(text, read(fd, text, sizeof text)); close(fd); }
    snprintf(path, sizeof path, "%s/made-%u", i % 2 == 0 ? "d" : "out", i % 100);
    if (mkdir(path, 0755) == 0) { made++; rmdir(path); }
    fd = open("out", O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir != NULL) {
      for (struct dirent *entry; (entry = readdir(dir)) != NULL; listed++) if (strcmp(entry->d_name, "unseen") == 0) puts("LEAK");
      closedir(dir);
    }
  }
  printf("opened %d made %d listed %d\n", opened > 0, made > 0, listed > 0);
}

int main(int argc, char **argv) {
  end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 1) + 1;
  for (int i = 0; i < 3; i++) {
    pid_t pid = fork();
    if (pid == 0) { i == 0 ? swap() : reach(); fflush(stdout); _exit(0); }
  }
  while (wait(NULL) > 0) ;
  return 0;
}
