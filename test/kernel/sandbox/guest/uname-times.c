// uname(2), argv[1] times.
#include <stdlib.h>
#include <sys/utsname.h>

int main(int argc, char **argv) {
  struct utsname name;
  for (long i = argc > 1 ? atol(argv[1]) : 1; i > 0; i--) {
    if (uname(&name) != 0) return 1;
  }
  return 0;
}
