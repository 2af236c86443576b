/** What fork promises besides the heap; each case is seen from outside, by its output and exit code. Argument: the case. */
import process from "node:process";
import { SIGNALS } from "../../../../linux/abi/signal.ts";
import { writeAll } from "../../../../linux/file.ts";
import { fork } from "../../../../linux/fork.unsafe.ts";
import { getParentPid, getPid, kill, waitPid } from "../../../../linux/process.ts";
import { poll } from "../../../../linux/poll.ts";

const print = (value: unknown) => writeAll(1, `${JSON.stringify(value)}\n`);

const cases: Record<string, () => void> = {
  "refused": () => {
    fork(() => 0);
  },
  "throws": () => {
    const pid = fork(() => {
      throw new Error("from the child");
    });
    print({ behind: "the fork", status: waitPid(pid)?.status });
  },
  "returns": () => {
    const parent = getPid();
    const pid = fork(() => (getParentPid() === parent && getPid() !== parent ? 42 : 1));
    print({ status: waitPid(pid)?.status });
  },
  "signal to the child": () => {
    let handled = 0;
    for (const name of ["SIGTERM", "SIGINT", "SIGUSR2"] as const) process.on(name, () => handled++);
    const statuses = [SIGNALS.SIGTERM, SIGNALS.SIGINT, SIGNALS.SIGUSR2].map((signal) => {
      const pid = fork(() => {
        poll([], 10_000);
        return 0;
      });
      kill(pid, signal);
      return waitPid(pid)?.status;
    });
    // The event loop of the parent has its turns, in which a handler would run.
    setTimeout(() => {
      print({ statuses, handled });
      process.kill(process.pid, "SIGTERM");
      setTimeout(() => {
        print({ afterOwn: handled });
        process.exit(0);
      }, 100);
    }, 100);
  },
  "grandchild": () => {
    const pid = fork(() => {
      const garbage = Array.from({ length: 50_000 }, (_, i) => ({ i }));
      const inner = fork(() => (garbage[49_999]?.i === 49_999 ? 5 : 1));
      const status = waitPid(inner)?.status;
      return status?.kind === "exited" ? status.code + 1 : 99;
    });
    print({ status: waitPid(pid)?.status });
  },
  "no exit handlers": () => {
    process.on("exit", () => writeAll(1, "exit handler\n"));
    waitPid(fork(() => 0));
    print("parent");
  },
};

cases[process.argv[2] ?? ""]?.();
