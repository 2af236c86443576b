/* pthreads(7), futex(2), set_robust_list(2), rseq(2), membarrier(2), tgkill(2), and many threads at calls that the sentry answers. */
#include "tell.h"
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long total;
static __thread long own;

static void *count(void *argument) {
  for (int i = 0; i < 20000; i++) {
    pthread_mutex_lock(&mutex);
    total++;
    pthread_mutex_unlock(&mutex);
    own++;
  }
  pthread_barrier_wait(&barrier);
  *(long *)argument = own;
  return argument;
}

static void many(void) {
  enum { COUNT = 16 };
  pthread_t threads[COUNT];
  long each[COUNT], sum = 0;
  pthread_barrier_init(&barrier, NULL, COUNT);
  for (int i = 0; i < COUNT; i++) pthread_create(&threads[i], NULL, count, &each[i]);
  for (int i = 0; i < COUNT; i++) pthread_join(threads[i], NULL), sum += each[i];
  VALUE("mutex", "%ld %ld", total, sum);
}

static void *emulated(void *argument) {
  struct utsname name;
  struct sysinfo info;
  long *bad = argument;
  for (int i = 0; i < 500; i++) {
    memset(&name, 0, sizeof name);
    memset(&info, 0, sizeof info);
    if (uname(&name) < 0 || strcmp(name.machine, "x86_64") != 0 || sysinfo(&info) < 0 || info.totalram == 0) ++*bad;
  }
  return NULL;
}

static void trapped(void) {
  enum { COUNT = 8 };
  pthread_t threads[COUNT];
  long bad[COUNT] = {0}, sum = 0;
  for (int i = 0; i < COUNT; i++) pthread_create(&threads[i], NULL, emulated, &bad[i]);
  for (int i = 0; i < COUNT; i++) pthread_join(threads[i], NULL), sum += bad[i];
  VALUE("wrong answers", "%ld", sum);
}

static int stage;

static void *second(void *argument) {
  (void)argument;
  pthread_mutex_lock(&mutex);
  stage = 1;
  pthread_cond_broadcast(&condition);
  while (stage < 2) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
  return (void *)5;
}

static void conditions(void) {
  pthread_t thread;
  void *result;
  pthread_create(&thread, NULL, second, NULL);
  pthread_mutex_lock(&mutex);
  while (stage < 1) pthread_cond_wait(&condition, &mutex);
  struct timespec soon;
  clock_gettime(CLOCK_REALTIME, &soon);
  soon.tv_nsec += 20000000;
  if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
  pthread_cond_t never = PTHREAD_COND_INITIALIZER;
  VALUE("timed wait", "%s", strerrorname_np(pthread_cond_timedwait(&never, &mutex, &soon)));
  stage = 2;
  pthread_cond_broadcast(&condition);
  pthread_mutex_unlock(&mutex);
  pthread_join(thread, &result);
  VALUE("condition", "%ld", (long)result);
}

static void futexes(void) {
  uint32_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct timespec brief = {0, 10000000};
  TELL("wait for another value", syscall(SYS_futex, word, FUTEX_WAIT, 1, NULL, NULL, 0));
  TELL("wait with a time-out", syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, &brief, NULL, 0));
  TELL("wake nobody", syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0));
  TELL("at nowhere", syscall(SYS_futex, (void *)16, FUTEX_WAKE, 1, NULL, NULL, 0));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) _exit(syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0) == 0 || errno == EAGAIN ? 4 : 5);
  nap(50);
  *word = 1;
  syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
  VALUE("between processes", "%d", ended(pid));
  TELL("unknown operation", syscall(SYS_futex, word, 99, 0, NULL, NULL, 0));
}

static pthread_mutex_t *shared_mutex(int protocol, int robust) {
  pthread_mutex_t *made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setprotocol(&attributes, protocol);
  pthread_mutexattr_setrobust(&attributes, robust);
  pthread_mutex_init(made, &attributes);
  return made;
}

static void robust(int protocol, const char *what) {
  pthread_mutex_t *shared = shared_mutex(protocol, PTHREAD_MUTEX_ROBUST);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    pthread_mutex_lock(shared);
    kill(getpid(), SIGKILL);
  }
  ended(pid);
  VALUE(what, "%s", strerrorname_np(pthread_mutex_lock(shared)));
}

static volatile sig_atomic_t handled_by;

static void handler(int signal) {
  (void)signal;
  handled_by = gettid();
}

static void *sleeper(void *argument) {
  *(volatile pid_t *)argument = gettid();
  for (int i = 0; i < 2000 && handled_by == 0; i++) nap(10);
  return NULL;
}

static void directed(void) {
  pthread_t thread;
  volatile pid_t tid = 0;
  signal(SIGUSR1, handler);
  pthread_create(&thread, NULL, sleeper, (void *)&tid);
  while (tid == 0) nap(1);
  TELL("tgkill", syscall(SYS_tgkill, getpid(), tid, SIGUSR1));
  pthread_join(thread, NULL);
  VALUE("handled by the thread", "%d", handled_by == tid);
  /* Joined, it may still be on its way out. */
  while (syscall(SYS_tgkill, getpid(), tid, 0) == 0) nap(1);
  TELL("tgkill of a joined thread", syscall(SYS_tgkill, getpid(), tid, 0));
  TELL("tgkill of another's thread", syscall(SYS_tgkill, getppid(), getpid(), 0));
}

static void *exits(void *argument) {
  (void)argument;
  _exit(13);
}

/* clone(2), CLONE_FS: chdir(2) and umask(2) are all threads'. */
static void *moves(void *argument) {
  (void)argument;
  for (int i = 0; i < 40; i++) {
    pthread_barrier_wait(&barrier);
    chdir(i % 2 == 0 ? "/tmp/shared/0" : "/tmp/shared/1");
    umask(i % 2 == 0 ? 077 : 022);
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}

/* Whether the thread is in the directory of that name, by names of a file and by the mode of a new one. */
static int is_in(const char *name, unsigned mode) {
  struct stat status;
  int is_there = stat(name, &status) == 0 && access(name, F_OK) == 0;
  int file = open("made", O_CREAT | O_EXCL | O_WRONLY, 0666);
  int is_made = fstat(file, &status) == 0 && (status.st_mode & 0777) == mode;
  close(file);
  return is_there && is_made && unlink("made") == 0;
}

static void shared_directory(void) {
  pthread_t thread;
  int seen = 0, own = 0;
  TELL("directories", mkdir("/tmp/shared", 0755) | mkdir("/tmp/shared/0", 0755) | mkdir("/tmp/shared/1", 0755) | mkdir("/tmp/shared/0/zero", 0755) | mkdir("/tmp/shared/1/one", 0755));
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_create(&thread, NULL, moves, NULL);
  for (int i = 0; i < 40; i++) {
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    seen += is_in(i % 2 == 0 ? "zero" : "one", i % 2 == 0 ? 0600 : 0644);
    chdir(i % 2 == 0 ? "../1" : "../0");
    umask(0);
    own += is_in(i % 2 == 0 ? "one" : "zero", 0666);
  }
  pthread_join(thread, NULL);
  VALUE("another thread's chdir and umask", "%d", seen);
  VALUE("its own", "%d", own);
  umask(022);
  chdir("/");
  TELL("removed", rmdir("/tmp/shared/0/zero") | rmdir("/tmp/shared/1/one") | rmdir("/tmp/shared/0") | rmdir("/tmp/shared/1") | rmdir("/tmp/shared"));
}

static int exit_group(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, exits, NULL);
  nap(10000);
  return 1;
}

static void *executes(void *argument) {
  (void)argument;
  execl("/bin/sh", "sh", "-c", "exit 14", NULL);
  return NULL;
}

static int exec_in_thread(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, executes, NULL);
  nap(10000);
  return 1;
}

int main(void) {
  many();
  conditions();
  futexes();
  robust(PTHREAD_PRIO_NONE, "robust mutex");
  robust(PTHREAD_PRIO_INHERIT, "robust mutex with priority inheritance");
  trapped();
  directed();
  shared_directory();
  VALUE("exit of all threads", "%d", inside(exit_group));
  VALUE("exec in a thread", "%d", inside(exec_in_thread));
  TELL("membarrier", syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0));
  TELL("membarrier, registered", syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
  sem_t *semaphore = sem_open("/areas", O_CREAT | O_EXCL, 0600, 1);
  VALUE("named semaphore", "%d", semaphore != SEM_FAILED && sem_wait(semaphore) == 0);
  TELL("sem_trywait", sem_trywait(semaphore));
  TELL("sem_unlink", sem_unlink("/areas"));
  return 0;
}
