/*
 * On the host: a FUSE file system that hangs, as a network file system whose server is gone does: `slow MOUNTPOINT`, as root. Its root is
 * there; whoever looks for a name in it waits. It ends, and with it all that hangs, when it is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char request[1 << 18];

static void answer(int fd, uint64_t unique, int error, const void *body, size_t size) {
  static char reply[512];
  struct fuse_out_header header = {.len = sizeof header + size, .error = error, .unique = unique};
  memcpy(reply, &header, sizeof header);
  if (size > 0) memcpy(reply + sizeof header, body, size);
  if (write(fd, reply, header.len) < 0) perror("write");
}

int main(int argc, char **argv) {
  char options[128];
  int fd = open("/dev/fuse", O_RDWR);
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
  if (argc != 2 || fd < 0 || mount("slow", argv[1], "fuse", MS_NODEV | MS_NOSUID, options) < 0) {
    perror("mount");
    return 1;
  }
  printf("mounted\n");
  fflush(stdout);
  for (;;) {
    ssize_t n = read(fd, request, sizeof request);
    if (n < 0 && errno == ENODEV) return 0;
    struct fuse_in_header *in = (void *)request;
    if (n < (ssize_t)sizeof *in) continue;
    struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 65536, .max_background = 16, .congestion_threshold = 12};
    struct fuse_attr_out attributes = {.attr_valid = 3600, .attr = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 2}};
    if (in->opcode == FUSE_INIT) answer(fd, in->unique, 0, &init, sizeof init);
    else if (in->opcode == FUSE_GETATTR && in->nodeid == FUSE_ROOT_ID) answer(fd, in->unique, 0, &attributes, sizeof attributes);
    else if (in->opcode != FUSE_LOOKUP && in->opcode != FUSE_FORGET && in->opcode != FUSE_INTERRUPT) answer(fd, in->unique, -ENOSYS, NULL, 0);
  }
}
