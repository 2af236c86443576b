/** Tests of CPython's own suite that end otherwise in a sandbox than under runc, all of them, and why. */

export type Ending = "passed" | "skipped" | "failed";

export interface Difference {
  /** What the tests' names begin with. */
  readonly tests: string;
  readonly count: number;
  readonly runc: Ending;
  readonly sandbox: Ending;
  readonly reason: string;
}

const OWN_IDS = "A sandbox's user namespace has 65,536 ids, and the test wants 2^31. So it ends under runc too where the container has a user namespace.";

export const DIFFERENCES: readonly Difference[] = [
  { tests: "test_posix.PosixTester.test_chown", count: 1, runc: "passed", sandbox: "failed", reason: OWN_IDS },
  { tests: "test_posix.PosixTester.test_fchown", count: 1, runc: "passed", sandbox: "failed", reason: OWN_IDS },
  { tests: "test_posix.PosixTester.test_lchown", count: 1, runc: "passed", sandbox: "failed", reason: OWN_IDS },
  {
    tests: "test_subprocess.POSIXProcessTestCase.test_preexec_fork_failure",
    count: 1,
    runc: "skipped",
    sandbox: "passed",
    reason: "RLIMIT_NPROC does not hold for the host's root, which runc's root is and a sandbox's is not.",
  },
];

/** Under the policy `strict`, besides. */
export const STRICT_DIFFERENCES: readonly Difference[] = [
  {
    tests: "test_fcntl.TestFcntl.test_fcntl_64_bit",
    count: 1,
    runc: "passed",
    sandbox: "failed",
    reason: "F_NOTIFY, which inotify has replaced: its signal would be for the sentry, whose open file it is.",
  },
];

/** Not run under the policy `strict`. Names of tests. */
export const STRICT_LEFT_OUT: readonly { readonly tests: readonly string[]; readonly reason: string }[] = [
  { tests: ["test_itimer_virtual", "test_itimer_prof"], reason: "They wait for a second of the process's own time, of which there is little between calls that trap: they give up on a machine that has other work." },
  { tests: ["testSendmsgTimeout", "testSendmsgDontWait"], reason: "They fill a connection by messages of 512 bytes, and have five seconds for it." },
  { tests: ["testWithTimeoutTriggeredSend"], reason: "It has 10 ms for making a connection." },
];

/** Not run at all, in either. Patterns as the suite's option -i takes them. */
export const LEFT_OUT: readonly { readonly tests: readonly string[]; readonly reason: string }[] = [
  {
    tests: ["*UDPLITE*"],
    reason: "113 tests pass under runc and cannot in a sandbox, which has no UDP-Lite (docs/syscalls.md); their tear-down, without the socket, ends the module.",
  },
  {
    tests: ["test_siginterrupt_off", "test_poll2", "test_wait_timeout", "test_wait_integer", "test_thread_safety", "test_check_output_timeout", "NetworkConnectionBehaviourTest"],
    reason: "They wait, for 3 to 30 seconds each, natively too.",
  },
  { tests: ["test_*_del_collect"], reason: "Slow, and about the garbage collector." },
  { tests: ["WithThreadsTest*"], reason: "Slow, and about multiprocessing.dummy, which is test_threading's business." },
];
