/* unix(7), tcp(7), udp(7), ipv6(7), netlink(7): data, descriptors, credentials, options, addresses, errors. */
#include "tell.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>

static int pass(int socket, int fd) {
  char byte = 'f', space[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(socket, &message, 0);
}

static int receive(int socket, int type, void *data, size_t size) {
  char byte, space[256] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 0) return -1;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_type == type) return memcpy(data, CMSG_DATA(header), size), 0;
  }
  return errno = ENOMSG, -1;
}

static void descriptors(int a, int b) {
  int ends[2], got = -1;
  char text[8] = "";
  TELL("pipe", pipe(ends));
  TELL("SCM_RIGHTS sent", pass(a, ends[1]));
  TELL("SCM_RIGHTS received", receive(b, SCM_RIGHTS, &got, sizeof got));
  TELL("written to it", write(got, "passed", 6));
  TELL("read from the pipe", read(ends[0], text, sizeof text));
  VALUE("text", "%.6s", text);
  int root = open("/", O_PATH | O_DIRECTORY);
  pass(a, root);
  TELL("a directory", receive(b, SCM_RIGHTS, &got, sizeof got));
  TELL("used", openat(got, "etc/passwd", O_RDONLY));
  TELL("a socket through itself", pass(a, a));
  receive(b, SCM_RIGHTS, &got, sizeof got);
  TELL("a bad descriptor", pass(a, 999));
}

static void credentials(int a, int b) {
  struct ucred peer = {0};
  socklen_t size = sizeof peer;
  int on = 1;
  TELL("SO_PEERCRED", getsockopt(a, SOL_SOCKET, SO_PEERCRED, &peer, &size));
  VALUE("peer", "%d %u %u", peer.pid == getpid(), peer.uid, peer.gid);
  TELL("SO_PASSCRED", setsockopt(b, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    if (setgid(20) < 0 || setuid(10) < 0) _exit(1);
    _exit(write(a, "x", 1) == 1 ? 0 : 1);
  }
  TELL("SCM_CREDENTIALS", receive(b, SCM_CREDENTIALS, &peer, sizeof peer));
  VALUE("sender", "%d %u %u", peer.pid == pid, peer.uid, peer.gid);
  VALUE("child", "%d", ended(pid));
}

static void named(const char *directory) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", directory);
  int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  TELL("connect to nobody", connect(client, (void *)&address, sizeof address));
  TELL("bind", bind(server, (void *)&address, sizeof address));
  TELL("bind again", bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof address));
  TELL("connect too early", connect(client, (void *)&address, sizeof address));
  TELL("listen", listen(server, 1));
  TELL("connect", connect(client, (void *)&address, sizeof address));
  int accepted = accept4(server, NULL, NULL, SOCK_NONBLOCK);
  TELL("accept", accepted);
  struct ucred peer;
  socklen_t size = sizeof peer;
  getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &peer, &size);
  VALUE("peer is self", "%d", peer.pid == getpid());
  struct sockaddr_un found = {0};
  size = sizeof found;
  TELL("getpeername", getpeername(client, (void *)&found, &size));
  VALUE("name is that", "%d", strcmp(found.sun_path, address.sun_path) == 0);
  TELL("read of nothing", recv(accepted, &size, 1, 0));
  close(client);
  VALUE("read at the end", "%zd", recv(accepted, &size, 1, 0));
  struct stat st;
  stat(address.sun_path, &st);
  VALUE("is a socket", "%d", S_ISSOCK(st.st_mode));
  TELL("open it", open(address.sun_path, O_RDWR));
  TELL("unlink", unlink(address.sun_path));
}

static void abstract(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0areas"};
  socklen_t size = offsetof(struct sockaddr_un, sun_path) + 6;
  int server = socket(AF_UNIX, SOCK_SEQPACKET, 0), client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  TELL("bind of an abstract name", bind(server, (void *)&address, size));
  listen(server, 1);
  TELL("connect to it", connect(client, (void *)&address, size));
  char text[16];
  int accepted = accept(server, NULL, NULL);
  send(client, "one", 3, 0);
  send(client, "second", 6, 0);
  VALUE("packets", "%zd %zd", recv(accepted, text, sizeof text, 0), recv(accepted, text, 2, MSG_TRUNC));
}

static void stream(int family, const char *what) {
  union { struct sockaddr_in v4; struct sockaddr_in6 v6; struct sockaddr any; } address = {0};
  socklen_t size = family == AF_INET ? sizeof address.v4 : sizeof address.v6;
  address.any.sa_family = family;
  if (family == AF_INET) address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else address.v6.sin6_addr = in6addr_loopback;
  int server = socket(family, SOCK_STREAM, 0), client = socket(family, SOCK_STREAM, 0), on = 1;
  VALUE("family", "%s", what);
  TELL("SO_REUSEADDR", setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  TELL("bind", bind(server, &address.any, size));
  TELL("listen", listen(server, 5));
  TELL("getsockname", getsockname(server, &address.any, &size));
  TELL("TCP_NODELAY", setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  TELL("SO_KEEPALIVE", setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
  TELL("connect", connect(client, &address.any, size));
  int accepted = accept(server, NULL, NULL);
  char *block = calloc(1, 1 << 20);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 4; i++) send(client, block, 1 << 20, 0);
    int file = open("/etc/passwd", O_RDONLY);
    sendfile(client, file, NULL, 100);
    shutdown(client, SHUT_WR);
    _exit(0);
  }
  close(client);
  long total = 0, got;
  while ((got = recv(accepted, block, 1 << 20, 0)) > 0) total += got;
  VALUE("received", "%ld", total);
  ended(pid);
  struct tcp_info info;
  size = sizeof info;
  TELL("TCP_INFO", getsockopt(accepted, IPPROTO_TCP, TCP_INFO, &info, &size));
  VALUE("state", "%d", info.tcpi_state);
  int error = 0;
  size = sizeof error;
  TELL("SO_ERROR", getsockopt(accepted, SOL_SOCKET, SO_ERROR, &error, &size));
  free(block);
}

static void datagrams(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from = {0};
  socklen_t size = sizeof address;
  int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  char text[16] = "";
  TELL("udp bind", bind(a, (void *)&address, sizeof address));
  getsockname(a, (void *)&address, &size);
  TELL("sendto", sendto(b, "hello", 5, 0, (void *)&address, sizeof address));
  TELL("recvfrom", recvfrom(a, text, sizeof text, 0, (void *)&from, &size));
  VALUE("text", "%s from loopback %d", text, from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
  TELL("nothing there", recv(b, text, 1, 0));
  close(a);
  connect(b, (void *)&address, sizeof address);
  send(b, "x", 1, 0);
  TELL("port closed", send(b, "x", 1, 0));
  struct mmsghdr many[2] = {0};
  TELL("recvmmsg", recvmmsg(b, many, 2, MSG_DONTWAIT, NULL));
  address.sin_addr.s_addr = inet_addr("192.0.2.1");
  TELL("another network", sendto(b, "x", 1, 0, (void *)&address, sizeof address));
  address.sin_port = htons(7);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  TELL("connect where nobody listens", connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&address, sizeof address));
}

static void interfaces(void) {
  struct ifaddrs *list, *each;
  TELL("getifaddrs", getifaddrs(&list));
  for (each = list; each != NULL; each = each->ifa_next) printf("interface: %s family %d\n", each->ifa_name, each->ifa_addr == NULL ? -1 : each->ifa_addr->sa_family);
  struct ifreq request = {.ifr_name = "lo"};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  TELL("SIOCGIFFLAGS", ioctl(fd, SIOCGIFFLAGS, &request));
  VALUE("up", "%d", (request.ifr_flags & IFF_UP) != 0);
  TELL("SIOCGIFMTU", ioctl(fd, SIOCGIFMTU, &request));
  request.ifr_flags = 0;
  TELL("SIOCSIFFLAGS", ioctl(fd, SIOCSIFFLAGS, &request));
  TELL("if_nametoindex", if_nametoindex("lo") == 0 ? -1 : 0);
}

int main(void) {
  int pair[2];
  TELL("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  descriptors(pair[0], pair[1]);
  credentials(pair[0], pair[1]);
  VALUE("named, in", "/tmp");
  named("/tmp");
  VALUE("named, in", "/volume");
  named("/volume");
  abstract();
  stream(AF_INET, "IPv4");
  stream(AF_INET6, "IPv6");
  datagrams();
  interfaces();
  TELL("a family that is not", socket(99, SOCK_STREAM, 0));
  TELL("a type that is not", socket(AF_INET, 99, 0));
  TELL("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  return 0;
}
