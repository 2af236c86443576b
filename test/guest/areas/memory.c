/* mmap(2) and its family: anonymous and shared memory, files of the root and of a volume, protection, advice, memfd, other processes' memory, System V. */
#include "tell.h"
#include <setjmp.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/uio.h>

enum { PAGE = 4096 };
static sigjmp_buf back;
static void leave(int signal) { siglongjmp(back, signal); }

static void shared_file(const char *directory) {
  char path[64], text[8] = "";
  VALUE("a file in", "%s", directory);
  snprintf(path, sizeof path, "%s/mapped", directory);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  TELL("ftruncate", ftruncate(fd, 3 * PAGE));
  char *map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  TELL("mmap, shared", map == MAP_FAILED ? -1 : 0);
  if (map == MAP_FAILED) return;
  strcpy(map + PAGE, "mapped");
  TELL("pread", pread(fd, text, 6, PAGE));
  VALUE("what was written to memory", "%.6s", text);
  TELL("pwrite", pwrite(fd, "file", 4, 0));
  VALUE("what was written to the file", "%.4s", map);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) _exit(strcpy(map + 2 * PAGE, "child") == NULL);
  VALUE("child", "%d %s", ended(pid), map + 2 * PAGE);
  TELL("msync", msync(map, 3 * PAGE, MS_SYNC));
  char *private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
  private[0] = 'M';
  pread(fd, text, 6, PAGE);
  VALUE("private", "%.6s %.6s", private, text);
  TELL("truncated", ftruncate(fd, PAGE));
  signal(SIGBUS, leave);
  int caught = sigsetjmp(back, 1);
  if (caught == 0) *(volatile char *)(map + 2 * PAGE) = 1;
  VALUE("beyond the end", "%d", caught == SIGBUS);
  TELL("unlinked", unlink(path));
  map[0] = 'X';
  TELL("read afterwards", pread(fd, text, 1, 0));
  VALUE("still one file", "%c", text[0]);
  int reader = open("/etc/passwd", O_RDONLY);
  TELL("shared and writable of a read-only descriptor", mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, reader, 0) == MAP_FAILED ? -1 : 0);
  TELL("executable", mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, open("/bin/true", O_RDONLY), 0) == MAP_FAILED ? -1 : 0);
  TELL("an odd offset", mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 1) == MAP_FAILED ? -1 : 0);
}

static void anonymous(void) {
  char *map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TELL("mprotect", mprotect(map, PAGE, PROT_NONE));
  signal(SIGSEGV, leave);
  int caught = sigsetjmp(back, 1);
  if (caught == 0) *(volatile char *)map = 1;
  VALUE("protected", "%d", caught == SIGSEGV);
  TELL("write from it", write(1, map, 1));
  map[PAGE] = 'm';
  TELL("MADV_DONTNEED", madvise(map + PAGE, PAGE, MADV_DONTNEED));
  VALUE("gone", "%d", map[PAGE]);
  TELL("MADV_FREE", madvise(map + PAGE, PAGE, MADV_FREE));
  TELL("MADV_HUGEPAGE", madvise(map, 4 * PAGE, MADV_NOHUGEPAGE));
  TELL("MADV_DONTFORK", madvise(map, PAGE, MADV_DONTFORK));
  char *grown = mremap(map + 2 * PAGE, 2 * PAGE, 100 * PAGE, MREMAP_MAYMOVE);
  TELL("mremap", grown == MAP_FAILED ? -1 : 0);
  TELL("fixed and taken", mmap(grown, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED ? -1 : 0);
  TELL("at address 0", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
  unsigned char resident[4];
  TELL("mincore", mincore(grown, 4 * PAGE, resident));
  TELL("mlock", mlock(grown, PAGE));
  TELL("mlock of much", mlock2(grown, 100 * PAGE, MLOCK_ONFAULT));
  TELL("munlockall", munlockall());
  TELL("munmap", munmap(grown, 100 * PAGE));
  TELL("munmap of nothing", munmap((void *)1, PAGE));
  void *before = sbrk(PAGE);
  VALUE("brk", "%d", sbrk(0) == (char *)before + PAGE);
  unsigned char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(code, "\xb8\x07\x00\x00\x00\xc3", 6);
  TELL("made executable", mprotect(code, PAGE, PROT_READ | PROT_EXEC));
  int (*function)(void);
  memcpy(&function, &code, sizeof function);
  VALUE("executed", "%d", function());
  int key = pkey_alloc(0, 0);
  VALUE("protection keys", "%d", key > 0 || errno == ENOSPC || errno == EINVAL);
  TELL("huge pages", mmap(NULL, 2 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0) == MAP_FAILED ? -1 : 0);
}

static void memfds(void) {
  int fd = memfd_create("named", MFD_ALLOW_SEALING);
  char link[64] = "", path[32];
  TELL("memfd_create", fd);
  TELL("write", write(fd, "sealed", 6));
  TELL("F_ADD_SEALS", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK));
  TELL("write to what is sealed", write(fd, "x", 1));
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  TELL("readlink", readlink(path, link, sizeof link - 1));
  VALUE("link", "%s", link);
  TELL("opened again", open(path, O_RDONLY));
}

static void of_others(void) {
  char secret[16] = "before", text[16] = "";
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  struct iovec here = {text, 6}, there = {secret, 6};
  TELL("process_vm_readv", process_vm_readv(pid, &here, 1, &there, 1, 0));
  VALUE("read", "%s", text);
  here.iov_base = "after!";
  TELL("process_vm_writev", process_vm_writev(pid, &here, 1, &there, 1, 0));
  TELL("of init", process_vm_readv(1, &here, 1, &there, 1, 0) >= 0 || errno == EFAULT ? 0 : -1);
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  int fd = open(path, O_RDWR);
  TELL("/proc/PID/mem", pread(fd, text, 6, (off_t)(uintptr_t)secret));
  VALUE("read", "%s", text);
  kill(pid, SIGKILL);
  ended(pid);
  TELL("of the dead", pread(fd, text, 6, (off_t)(uintptr_t)secret));
}

static void system_v(void) {
  int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
  TELL("shmget", id);
  char *map = shmat(id, NULL, 0);
  TELL("shmat", map == (void *)-1 ? -1 : 0);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) _exit(strcpy(map, "shared") == NULL);
  ended(pid);
  VALUE("through it", "%s", map);
  struct shmid_ds info;
  TELL("IPC_STAT", shmctl(id, IPC_STAT, &info));
  VALUE("attached", "%lu", (unsigned long)info.shm_nattch);
  TELL("IPC_RMID", shmctl(id, IPC_RMID, NULL));
  int set = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600), queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  TELL("semget", set);
  pid = fork();
  if (pid == 0) _exit(semop(set, &(struct sembuf){0, -1, 0}, 1));
  nap(50);
  TELL("semop", semop(set, &(struct sembuf){0, 1, 0}, 1));
  VALUE("a child that has waited for it", "%d %d", ended(pid), semctl(set, 0, GETVAL));
  TELL("not to wait", semop(set, &(struct sembuf){0, -1, IPC_NOWAIT}, 1));
  TELL("removed", semctl(set, 0, IPC_RMID));
  TELL("msgget", queue);
  TELL("msgsnd", msgsnd(queue, &(struct {long type; char text[4];}){1, "msg"}, 4, 0));
  VALUE("msgrcv", "%zd", msgrcv(queue, &(struct {long type; char text[4];}){0}, 4, 0, 0));
  TELL("removed", msgctl(queue, IPC_RMID, NULL));
  int fd = shm_open("/areas", O_CREAT | O_RDWR, 0600);
  TELL("shm_open", fd);
  TELL("shm_unlink", shm_unlink("/areas"));
}

int main(void) {
  anonymous();
  shared_file("/root");
  shared_file("/volume");
  shared_file("/dev/shm");
  memfds();
  of_others();
  system_v();
  return 0;
}
