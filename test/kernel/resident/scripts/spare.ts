import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SIGNALS } from "../../../../linux/abi/signal.ts";
import { duplicateOnto } from "../../../../linux/file.ts";
import { becomeSibling, fork } from "../../../../linux/fork.unsafe.ts";
import { nodesOwn } from "../../../../linux/inherited.unsafe.ts";
import { setChildSubreaper } from "../../../../linux/prctl.ts";
import { exitNow, getPid, kill, setUmask, shellCode, tryWaitPid, waitPid } from "../../../../linux/process.ts";
import { waitUntil } from "../../../../linux/sleep.ts";
import { createContainer } from "../../../../runtime/container/create.ts";
import { destroyContainer } from "../../../../runtime/container/delete.ts";
import { Spare } from "../../../../runtime/container/spare.ts";
import { startContainer } from "../../../../runtime/container/start.ts";
import { statusOf } from "../../../../runtime/container/status.ts";
import { defineCases, messageOf } from "../../../support/forked.ts";
import { log, optionsOf } from "../../../../bench/resident-options.ts";

const own = nodesOwn();
const TIMEOUT_MS = 30_000;

function readySpare(made?: Parameters<typeof Spare.fork>[1]): Spare {
  const spare = Spare.fork(own, made);
  spare.awaitReady();
  return spare;
}

/** Whether the spare's process is one that waits for its own init: it has a single descriptor then. */
const isSpent = (pid: number) => readdirSync(`/proc/${pid}/fd`).length === 1;

/** Runs the bundle's program, which reads from and writes to its volume. */
function run(bundle: string, id: string, spare: Spare | undefined, preserveFds = 0) {
  const container = createContainer(optionsOf(bundle, id, { spare, preserveFds }));
  const spent = spare !== undefined && isSpent(spare.pid);
  const created = statusOf(container);
  startContainer(container);
  // Before the start is reported, whatever the old process is doing meanwhile, nobody but init has had the lock.
  const started = statusOf(container) !== "created";
  const ended = waitPid(container.record.pid);
  destroyContainer(container, log);
  if (spare !== undefined) {
    spare[Symbol.dispose]();
    waitPid(spare.pid);
  }
  return { spent, created, started, code: ended && shellCode(ended.status) };
}

/** What tells one process from another: namespaces, mounts, identity, descriptors. */
function look(pid: number) {
  const files = ["cgroup", "mountinfo", "uid_map", "oom_score_adj", "environ"].map((name) => readFileSync(`/proc/${pid}/${name}`, "latin1"));
  const links = ["root", "cwd", "exe", ...["mnt", "net", "ipc", "uts", "cgroup", "user", "pid", "time"].map((name) => `ns/${name}`)].map((name) => readlinkSync(`/proc/${pid}/${name}`));
  const status = readFileSync(`/proc/${pid}/status`, "latin1").split("\n").filter((line) => /^(Umask|Uid|Gid|Groups|NoNewPrivs|Seccomp|Cap\w+):/.test(line));
  return [...files, ...links, ...status];
}

const descriptorsOf = (pid: number) => readdirSync(`/proc/${pid}/fd`).map((number) => readlinkSync(`/proc/${pid}/fd/${number}`).replace(/\[\d+\]$/, "")).toSorted();

defineCases({
  "each": (bundle = "", id = "") => [() => undefined, () => readySpare(), () => readySpare(["net"])].map((spare) => {
    const result = run(bundle, id, spare());
    return { ...result, told: readFileSync(join(bundle, "volume/told"), "utf8") };
  }),
  "what a spare has": () => {
    setUmask(0o27);
    const spare = readySpare();
    const [ours, its] = [look(getPid()), look(spare.pid)];
    const descriptors = descriptorsOf(spare.pid);
    spare[Symbol.dispose]();
    return { same: its.filter((line, i) => line !== ours[i]), descriptors, ended: waitPid(spare.pid)?.status };
  },
  "the host's network": (bundle = "", id = "") => run(bundle, id, readySpare(["net"])),
  "preserved descriptors": (bundle = "", id = "") => {
    const spare = readySpare();
    duplicateOnto(0, 3);
    return run(bundle, id, spare, 1);
  },
  "dead": (bundle = "", id = "") => {
    const spare = readySpare();
    kill(spare.pid, SIGNALS.SIGKILL);
    waitPid(spare.pid);
    const container = createContainer(optionsOf(bundle, id, { spare }));
    startContainer(container);
    const ended = waitPid(container.record.pid);
    destroyContainer(container, log);
    return ended?.status;
  },
  "fails": (bundle = "", id = "") => {
    const messages = [undefined, readySpare()].map((spare) => {
      const message = messageOf(() => createContainer(optionsOf(bundle, id, { spare })));
      return { message, left: spare !== undefined && waitPid(spare.pid) === undefined };
    });
    return { messages, children: waitPid(-1) ?? "none" };
  },
  // Its parent is a child of ours, whose end we cause.
  "orphan": (bundle = "") => {
    setChildSubreaper(true);
    const file = join(bundle, "pid");
    const parent = fork(() => {
      writeFileSync(file, String(readySpare().pid));
      for (;;) waitPid(-1);
    });
    waitUntil(TIMEOUT_MS, () => readdirSync(bundle).includes("pid") && readFileSync(file, "utf8") !== "");
    kill(parent, SIGNALS.SIGKILL);
    waitPid(parent);
    return waitPid(Number(readFileSync(file, "utf8")))?.status;
  },
  "siblings": (count = "") => {
    const ends: Record<string, number> = {};
    for (let i = 0; i < Number(count); i++) {
      const old = fork(() => {
        const kept = Array.from({ length: 20_000 }, (_, k) => ({ k }));
        const pid = becomeSibling({ namespaces: 0, cgroup: undefined });
        const garbage = Array.from({ length: 30_000 }, (_, k) => [k]);
        const whole = kept.every(({ k }, at) => k === at) && garbage.length === 30_000;
        return exitNow(whole && pid === getPid() ? 7 : 8);
      });
      for (let n = 0; n < 2; n++) {
        const ended = waitPid(-1);
        if (ended === undefined) throw new Error("no child");
        const key = `${ended.pid === old ? "old" : "new"} ${shellCode(ended.status)}`;
        ends[key] = (ends[key] ?? 0) + 1;
      }
    }
    return ends;
  },
  "refused": () => {
    const pid = fork(() => {
      const before = readdirSync("/proc/self/fd").length;
      // CLONE_NEWNS and CLONE_FS together are what clone3 always refuses.
      const result = becomeSibling({ namespaces: 0x20200, cgroup: undefined });
      return result === -22 && readdirSync("/proc/self/fd").length === before ? 7 : 8;
    });
    return waitPid(pid)?.status;
  },
  "unstarted": (bundle = "", id = "") => {
    mkdirSync(join(bundle, "state"), { recursive: true });
    const spare = readySpare();
    const container = createContainer(optionsOf(bundle, id, { spare }));
    const alive = tryWaitPid(spare.pid) === undefined;
    kill(container.record.pid, SIGNALS.SIGKILL);
    waitPid(container.record.pid);
    const ended = waitPid(spare.pid)?.status;
    destroyContainer(container, log);
    return { alive, ended };
  },
});
