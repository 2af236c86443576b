// Calls whose arguments are meant to confuse whoever prints them.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static void *execute(void *program) {
  char *argv[] = {program, "from a thread", NULL};
  execv(program, argv);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc > 1) return 0;
  char page_long[5000], *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(page_long, 'x', sizeof page_long - 1);
  page_long[sizeof page_long - 1] = 0;
  munmap(edge + 4096, 4096);
  strcpy(edge + 4093, "ab");
  open("/\033[31m\n\"", O_RDONLY);
  open((char *)8, O_RDWR | O_CREAT, 0640);
  open(page_long, O_WRONLY | O_TRUNC);
  open(edge + 4093, O_RDONLY);
  memset(edge + 4090, 'c', 6);
  open(edge + 4090, O_RDONLY);
  syscall(SYS_read, -1, (void *)-4096L, ~0UL);
  syscall(999, 1, 2, 3, 4, 5, 6);
  struct sockaddr_un hidden = {.sun_family = AF_UNIX, .sun_path = "\0hidden"};
  connect(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&hidden, 9);
  int pair[2];
  pipe(pair);
  pthread_t thread;
  pthread_create(&thread, NULL, execute, argv[0]);
  pthread_join(thread, NULL);
  return 1;
}
