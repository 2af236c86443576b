// What a guest reaches on the network: attempts, one a word of the command line, and a line for what came of each.
//   tcp:ADDRESS:PORT  udp:ADDRESS:PORT  name:NAME@SERVER  netfilter
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *outcome(int result) { return result >= 0 ? "ok" : strerrorname_np(errno); }

static struct sockaddr_in address(const char *text, int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, text, &a.sin_addr) != 1) exit(2);
  return a;
}

static int tcp(const char *host, int port) {
  struct sockaddr_in a = address(host, port);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval limit = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return connect(fd, (struct sockaddr *)&a, sizeof a);
}

// The second datagram meets the refusal of the first.
static int udp(const char *host, int port) {
  struct sockaddr_in a = address(host, port);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 || send(fd, "1", 1, 0) < 0) return -1;
  usleep(100000);
  return send(fd, "2", 1, 0);
}

// Prints the first address, or the answer's code.
static void lookup(char *name, const char *server) {
  unsigned char query[300] = {0x12, 0x34, 1, 0, 0, 1}, answer[1500];
  size_t end = 12;
  for (char *label = strtok(name, "."); label != NULL; label = strtok(NULL, ".")) {
    query[end] = strlen(label);
    memcpy(query + end + 1, label, strlen(label));
    end += 1 + strlen(label);
  }
  end += 1;
  query[end + 1] = 1;
  query[end + 3] = 1;
  end += 4;
  struct sockaddr_in a = address(server, 53);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct pollfd ready = {.fd = fd, .events = POLLIN};
  if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 || send(fd, query, end, 0) < 0) printf("%s\n", strerrorname_np(errno));
  else if (poll(&ready, 1, 10000) != 1) printf("silence\n");
  else {
    ssize_t size = recv(fd, answer, sizeof answer, 0);
    if (size < 12) printf("%s\n", outcome(size));
    else if (answer[7] == 0) printf("rcode %d\n", answer[3] & 15);
    else printf("%d.%d.%d.%d\n", answer[size - 4], answer[size - 3], answer[size - 2], answer[size - 1]);
  }
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    char *word = argv[i], *rest = strchr(word, ':');
    printf("%s ", word);
    if (strcmp(word, "netfilter") == 0) printf("%s\n", outcome(socket(AF_NETLINK, SOCK_RAW, 12)));
    else if (rest != NULL) {
      char *second = strpbrk(rest + 1, ":@");
      if (second == NULL) return 2;
      char *host = strndup(rest + 1, second - rest - 1);
      if (strncmp(word, "name:", 5) == 0) lookup(host, second + 1);
      else printf("%s\n", outcome((strncmp(word, "tcp:", 4) == 0 ? tcp : udp)(host, atoi(second + 1))));
    }
    fflush(stdout);
  }
  return 0;
}
