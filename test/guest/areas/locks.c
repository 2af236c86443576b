/* flock(2), fcntl_locking(2), open file description locks, leases; between processes, on the root and on a volume. */
#include "tell.h"
#include <sys/file.h>

static const char *path;
static int held;

static struct flock range(short type, off_t start, off_t length) { return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length}; }

static int others(void) {
  int fd = open(path, O_RDWR);
  struct flock lock = range(F_WRLCK, 0, 10);
  TELL("another process, non-blocking", fcntl(fd, F_SETLK, &lock));
  lock = range(F_WRLCK, 5, 1);
  TELL("F_GETLK", fcntl(fd, F_GETLK, &lock));
  VALUE("found", "%d %ld %ld parent %d", lock.l_type, (long)lock.l_start, (long)lock.l_len, lock.l_pid == getppid());
  lock = range(F_RDLCK, 20, 5);
  TELL("elsewhere", fcntl(fd, F_SETLK, &lock));
  TELL("flock", flock(fd, LOCK_EX | LOCK_NB));
  TELL("flock, shared", flock(fd, LOCK_SH | LOCK_NB));
  lock = range(F_WRLCK, 100, 1);
  TELL("by description", fcntl(fd, F_OFD_SETLK, &lock));
  TELL("of what was inherited", flock(held, LOCK_EX | LOCK_NB));
  return 0;
}

static int waits(void) {
  int fd = open(path, O_RDWR);
  struct flock lock = range(F_WRLCK, 0, 10);
  return (fcntl(fd, F_SETLKW, &lock) == 0) + 2 * (flock(fd, LOCK_EX) == 0);
}

static void ring(int signal) { (void)signal; }

static int interrupted(void) {
  int fd = open(path, O_RDWR);
  struct flock lock = range(F_WRLCK, 0, 10);
  sigaction(SIGALRM, &(struct sigaction){.sa_handler = ring}, NULL);
  ring_every(50);
  TELL("interrupted", rung(fcntl(fd, F_SETLKW, &lock)));
  ring_every(50);
  TELL("flock interrupted", rung(flock(fd, LOCK_EX)));
  return 0;
}

/* EDEADLK, or, where nobody sees the ring of two, EINTR after a while. */
static int waits_for(int fd, struct flock *lock, int milliseconds) {
  sigaction(SIGALRM, &(struct sigaction){.sa_handler = ring}, NULL);
  ring_every(milliseconds);
  about_to_wait();
  return rung(fcntl(fd, F_SETLKW, lock)) < 0 && errno == EDEADLK;
}

static int dead_lock(int fd) {
  struct flock first = range(F_WRLCK, 200, 1), second = range(F_WRLCK, 300, 1), none = range(F_UNLCK, 200, 101);
  fcntl(fd, F_SETLK, &first);
  fflush(stdout);
  nobody_waits_yet();
  pid_t pid = fork();
  if (pid == 0) {
    fcntl(fd, F_SETLK, &second);
    _exit(waits_for(fd, &first, 20000));
  }
  until_it_waits(pid);
  int told = waits_for(fd, &second, 700);
  fcntl(fd, F_SETLK, &none);
  return told + ended(pid);
}

static void locks(const char *on) {
  char name[64];
  VALUE("on", "%s", on);
  snprintf(name, sizeof name, "%s/locked", on);
  path = name;
  held = open(path, O_RDWR | O_CREAT, 0600);
  struct flock lock = range(F_WRLCK, 0, 10);
  TELL("lock", fcntl(held, F_SETLK, &lock));
  TELL("flock", flock(held, LOCK_EX));
  lock = range(F_WRLCK, 100, 1);
  TELL("open file description", fcntl(held, F_OFD_SETLK, &lock));
  inside(others);
  inside(interrupted);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) _exit(waits());
  nap(100);
  VALUE("still waiting", "%d", waitpid(pid, NULL, WNOHANG));
  lock = range(F_UNLCK, 0, 10);
  TELL("unlock", fcntl(held, F_SETLK, &lock));
  nap(50);
  TELL("flock released", flock(held, LOCK_UN));
  VALUE("waiter", "%d", ended(pid));
  VALUE("told of the dead lock", "%d", dead_lock(held));
  TELL("lease", fcntl(held, F_SETLEASE, F_RDLCK));
  lock = range(F_WRLCK, 0, 1);
  fcntl(held, F_SETLK, &lock);
  close(open(path, O_RDONLY));
  pid = fork();
  if (pid == 0) {
    lock = range(F_WRLCK, 0, 1);
    _exit(fcntl(open(path, O_RDWR), F_SETLK, &lock) == 0);
  }
  VALUE("any close releases", "%d", ended(pid));
  close(held);
  TELL("removed", unlink(path));
}

int main(void) {
  locks("/root");
  locks("/volume");
  locks("/dev/shm");
  return 0;
}
