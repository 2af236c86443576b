// Prints what libseccomp compiles a list of rules to, for filter-cost.ts; in C because libseccomp is.
// Arguments: optimisation level (1 or 2), and "x86" to add that architecture to x86_64.
// Standard input: lines of "DEFAULT-ACTION" (first) and "NAME ACTION N { INDEX OP A B }", in decimal, OP as
// enum scmp_compare. Standard output: the program. Standard error: names that this libseccomp does not know.
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  uint32_t action;
  if (argc < 2 || scanf("%" SCNu32, &action) != 1) return 2;
  scmp_filter_ctx ctx = seccomp_init(action);
  if (!ctx || seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, argv[1][0] - '0')) return 3;
  if (argc > 2 && seccomp_arch_add(ctx, SCMP_ARCH_X86)) return 4;
  char name[64];
  unsigned count;
  while (scanf("%63s %" SCNu32 " %u", name, &action, &count) == 3) {
    struct scmp_arg_cmp args[6];
    for (unsigned i = 0; i < count && i < 6; i++) {
      unsigned op;
      if (scanf("%u %u %" SCNu64 " %" SCNu64, &args[i].arg, &op, &args[i].datum_a, &args[i].datum_b) != 4) return 5;
      args[i].op = (enum scmp_compare)op;
    }
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) {
      fprintf(stderr, "%s\n", name);
    } else {
      int failed = seccomp_rule_add_array(ctx, action, number, count, args);
      if (failed) return fprintf(stderr, "rule for %s: %s\n", name, strerror(-failed)), 6;
    }
  }
  return seccomp_export_bpf(ctx, STDOUT_FILENO) ? 7 : 0;
}
