/* `network SECONDS`: TCP on the loopback device and a small HTTP server with its client, each measurement for so long. */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK 65536
#define CLIENTS 4

static char chunk[CHUNK];
static double duration;
static struct sockaddr_in address;
static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
static char response[1024];

static int listen_anywhere(void) {
  socklen_t length = sizeof address;
  address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int listener = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  must(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
  must(listen(listener, 128), "listen");
  must(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
  return listener;
}

static void no_delay(int fd) {
  int one = 1;
  must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
}

static int dial(void) {
  int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  no_delay(fd);
  must(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
  return fd;
}

static void read_all(int fd, char *to, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = must(read(fd, to + done, size - done), "read");
    if (n == 0) { errno = EPIPE; fail("read"); }
    done += n;
  }
}

static void write_all(int fd, const char *from, size_t size) {
  for (size_t done = 0; done < size;) done += must(write(fd, from + done, size - done), "write");
}

/* A process that serves one connection after another. */
static pid_t serve(int listener, void (*one)(int)) {
  pid_t pid = must(fork(), "fork");
  if (pid != 0) return pid;
  for (;;) {
    int fd = must(accept(listener, NULL, NULL), "accept");
    no_delay(fd);
    one(fd);
    close(fd);
  }
}

static void end(pid_t pid, int listener) {
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  close(listener);
}

static void echo(int fd) {
  ssize_t n;
  while ((n = read(fd, chunk, CHUNK)) > 0) write_all(fd, chunk, n);
}

static void swallow(int fd) {
  while (read(fd, chunk, CHUNK) > 0) {}
  if (write(fd, "x", 1) < 0) fail("write");
}

static void latency(void) {
  char byte = 'x';
  long n = 0;
  int listener = listen_anywhere();
  pid_t server = serve(listener, echo);
  int fd = dial();
  double start = now();
  for (; now() - start < duration; n++) {
    write_all(fd, &byte, 1);
    read_all(fd, &byte, 1);
  }
  report("", "TCP round trip", "us", (now() - start) / 1e3 / n);
  close(fd);
  end(server, listener);
}

/* To the last byte's arrival. */
static void throughput(void) {
  double bytes = 0;
  char byte;
  int listener = listen_anywhere();
  pid_t server = serve(listener, swallow);
  int fd = dial();
  double start = now();
  for (; now() - start < duration; bytes += CHUNK) write_all(fd, chunk, CHUNK);
  shutdown(fd, SHUT_WR);
  read_all(fd, &byte, 1);
  report("", "TCP throughput", "MiB/s", bytes / (1 << 20) * 1e9 / (now() - start));
  close(fd);
  end(server, listener);
}

static void connections(void) {
  long n = 0;
  int listener = listen_anywhere();
  pid_t server = serve(listener, echo);
  double start = now();
  for (; now() - start < duration; n++) {
    char byte = 'x';
    int fd = dial();
    write_all(fd, &byte, 1);
    read_all(fd, &byte, 1);
    close(fd);
  }
  report("", "TCP connections", "op/s", n * 1e9 / (now() - start));
  end(server, listener);
}

/* Requests have no body and come one at a time. */
static void answer(int fd) {
  char text[2048];
  size_t have = 0;
  ssize_t n;
  while ((n = read(fd, text + have, sizeof text - 1 - have)) > 0) {
    have += n;
    text[have] = 0;
    if (strstr(text, "\r\n\r\n") == NULL) continue;
    write_all(fd, response, strlen(response));
    have = 0;
  }
}

static void *answer_thread(void *fd) {
  answer((int)(long)fd);
  close((int)(long)fd);
  return NULL;
}

static pid_t serve_http(int listener) {
  pid_t pid = must(fork(), "fork");
  if (pid != 0) return pid;
  for (;;) {
    pthread_t thread;
    int fd = must(accept(listener, NULL, NULL), "accept");
    no_delay(fd);
    if ((errno = pthread_create(&thread, NULL, answer_thread, (void *)(long)fd)) != 0) fail("pthread_create");
    pthread_detach(thread);
  }
}

static void get(int fd) {
  char text[sizeof response];
  write_all(fd, request, sizeof request - 1);
  read_all(fd, text, strlen(response));
}

static int keep_alive;

/* @returns the number of its requests. */
static void *client(void *unused) {
  (void)unused;
  long n = 0;
  int fd = keep_alive ? dial() : -1;
  for (double start = now(); now() - start < duration; n++) {
    if (!keep_alive) fd = dial();
    get(fd);
    if (!keep_alive) close(fd);
  }
  if (keep_alive) close(fd);
  return (void *)n;
}

static void http(const char *name, int keep) {
  pthread_t clients[CLIENTS];
  long total = 0;
  keep_alive = keep;
  int listener = listen_anywhere();
  pid_t server = serve_http(listener);
  double start = now();
  for (int i = 0; i < CLIENTS; i++) if ((errno = pthread_create(&clients[i], NULL, client, NULL)) != 0) fail("pthread_create");
  for (int i = 0; i < CLIENTS; i++) {
    void *n;
    pthread_join(clients[i], &n);
    total += (long)n;
  }
  report("", name, "req/s", total * 1e9 / (now() - start));
  end(server, listener);
}

int main(int count, char **arguments) {
  if (count < 2) return 1;
  duration = atof(arguments[1]) * 1e9;
  int body = 612;
  snprintf(response, sizeof response, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%0*d", body, body, 0);
  latency();
  throughput();
  connections();
  http("HTTP, keep-alive, 4 clients", 1);
  http("HTTP, a connection each, 4 clients", 0);
  return 0;
}
