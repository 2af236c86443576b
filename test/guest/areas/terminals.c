/* pty(7), ioctl_tty(2), termios(3), controlling terminals, job control from a program's side. */
#include "tell.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <utmp.h>

/* The kernel carries what is written across in its own time, in pieces: so many bytes at least. */
static void text_of(const char *what, int fd, ssize_t least) {
  char text[256];
  struct pollfd ready = {fd, POLLIN, 0};
  ssize_t got = 0;
  while (got < least && poll(&ready, 1, 5000) == 1) {
    ssize_t more = read(fd, text + got, sizeof text - (size_t)got);
    if (more <= 0) break;
    got += more;
  }
  printf("%s: %zd ", what, got);
  for (ssize_t i = 0; i < got; i++) printf(text[i] < ' ' ? "\\%o" : "%c", text[i]);
  puts("");
}

static volatile sig_atomic_t caught;
static void note(int signal) { caught = signal; }

static int in_session(int slave) {
  setsid();
  TELL("no terminal yet", open("/dev/tty", O_RDWR));
  TELL("TIOCSCTTY", ioctl(slave, TIOCSCTTY, 0));
  int terminal = open("/dev/tty", O_RDWR);
  TELL("open /dev/tty", terminal);
  VALUE("foreground group is self", "%d %d", tcgetpgrp(terminal) == getpid(), tcgetsid(terminal) == getpid());
  pid_t background = fork();
  if (background == 0) {
    char byte;
    setpgid(0, 0);
    signal(SIGTTIN, SIG_IGN);
    TELL("read in the background", read(terminal, &byte, 1));
    signal(SIGTTOU, SIG_IGN);
    TELL("tcsetpgrp", tcsetpgrp(terminal, getpgrp()));
    _exit(0);
  }
  VALUE("background", "%d", ended(background));
  signal(SIGTTOU, SIG_IGN);
  TELL("foreground again", tcsetpgrp(terminal, getpgrp()));
  signal(SIGINT, note);
  signal(SIGWINCH, note);
  TELL("TIOCSTI", ioctl(terminal, TIOCSTI, "x"));
  if (write(slave, "!", 1) != 1) return 9;
  for (int i = 0; i < 2000 && caught != SIGINT; i++) nap(10);
  VALUE("interrupted", "%d", caught == SIGINT);
  TELL("resized", ioctl(terminal, TIOCSWINSZ, &(struct winsize){10, 20, 0, 0}));
  VALUE("told of it", "%d", caught == SIGWINCH);
  TELL("TIOCNOTTY", ioctl(terminal, TIOCNOTTY));
  TELL("none again", open("/dev/tty", O_RDWR));
  return 0;
}

int main(void) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  TELL("posix_openpt", master);
  TELL("grantpt", grantpt(master));
  TELL("unlockpt", unlockpt(master));
  char name[64];
  TELL("ptsname", ptsname_r(master, name, sizeof name) == 0 ? 0 : -1);
  int slave = open(name, O_RDWR | O_NOCTTY);
  TELL("open the slave", slave);
  TELL("TIOCGPTPEER", ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
  struct stat st;
  fstat(slave, &st);
  VALUE("owner and mode", "%u %u %o", st.st_uid, st.st_gid, st.st_mode);
  VALUE("isatty", "%d %d", isatty(slave), isatty(open("/dev/null", O_RDWR)));
  struct winsize size = {24, 80, 1, 2};
  TELL("TIOCSWINSZ", ioctl(master, TIOCSWINSZ, &size));
  memset(&size, 0, sizeof size);
  TELL("TIOCGWINSZ", ioctl(slave, TIOCGWINSZ, &size));
  VALUE("size", "%d %d %d %d", size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel);
  TELL("typed", write(master, "line\n", 5));
  text_of("echo", master, 6);
  text_of("line", slave, 5);
  TELL("written", write(slave, "a\nb", 3));
  text_of("with carriage returns", master, 4);
  struct termios mode;
  TELL("tcgetattr", tcgetattr(slave, &mode));
  VALUE("modes", "%o %o %o %o speed %u", mode.c_iflag, mode.c_oflag, mode.c_cflag, mode.c_lflag, cfgetospeed(&mode));
  cfmakeraw(&mode);
  TELL("tcsetattr", tcsetattr(slave, TCSADRAIN, &mode));
  TELL("typed raw", write(master, "x\003\n", 3));
  text_of("raw", slave, 3);
  int queued = -1;
  TELL("FIONREAD", ioctl(slave, FIONREAD, &queued));
  VALUE("queued", "%d", queued);
  TELL("tcflush", tcflush(slave, TCIOFLUSH));
  TELL("tcdrain", tcdrain(slave));
  TELL("tcsendbreak", tcsendbreak(slave, 0));
  TELL("tcflow", tcflow(slave, TCOON));
  mode.c_lflag |= ISIG | ICANON;
  tcsetattr(slave, TCSANOW, &mode);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    int code = in_session(slave);
    fflush(stdout);
    _exit(code);
  }
  char byte;
  VALUE("told to go on", "%zd", read(master, &byte, 1));
  TELL("the interrupt key", write(master, "\003", 1));
  VALUE("session", "%d", ended(pid));
  close(slave);
  pid = forkpty(&master, NULL, NULL, NULL);
  if (pid == 0) {
    printf("%d\n", isatty(0));
    exit(6);
  }
  text_of("forkpty", master, 3);
  VALUE("its end", "%d", ended(pid));
  TELL("the master after the last slave", read(master, &byte, 1));
  close(master);
  TELL("TIOCSETD", ioctl(open("/dev/ptmx", O_RDWR | O_NOCTTY), 0x5423, &queued));
  TELL("an unknown request", ioctl(0, 0x4711, 0));
  return 0;
}
