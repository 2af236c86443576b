/*
 * What there is to run where nothing but the runtime is measured: `plain [true|hello|idle]`. `hello` prints a line; `idle` too, and waits.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "true";
  if (strcmp(what, "true") == 0) return 0;
  puts("hello");
  fflush(stdout);
  while (strcmp(what, "idle") == 0) pause();
  return 0;
}
