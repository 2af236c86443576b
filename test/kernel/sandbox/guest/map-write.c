/* Writes FILE of so many MiB through a mapping and ends, or, with a third argument, says so and waits: map-write FILE MIB [stay]. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  size_t size = (size_t)atoi(argv[2]) << 20;
  int fd = open(argv[1], O_RDWR | O_CREAT, 0644);
  if (fd < 0 || ftruncate(fd, (off_t)size) < 0) return 1;
  char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return 1;
  close(fd);
  memset(map, 'x', size);
  puts("written");
  fflush(stdout);
  if (argc > 3) pause();
  return 0;
}
