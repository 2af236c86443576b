/*
 * These programs do harm where they may: as root on a host they would truncate files that links of theirs lead to, or restart the machine. So
 * they run where the kernel says that it is a sandbox's, and nowhere else: to be called first in main.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static void only_in_a_sandbox(void) {
  struct utsname name;
  if (uname(&name) == 0 && strstr(name.release, "-tssandbox") != NULL) return;
  fprintf(stderr, "not in a sandbox: nothing is done here\n");
  exit(3);
}
