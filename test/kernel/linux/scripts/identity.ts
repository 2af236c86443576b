import { O_RDONLY } from "../../../../linux/abi/fcntl.ts";
import { SIGNALS } from "../../../../linux/abi/signal.ts";
import {
  effectiveGid, effectiveUid, getCapabilities, setCapabilities, setGroupId, setGroups, setUserId,
} from "../../../../linux/credentials.ts";
import { open, readAll } from "../../../../linux/file.ts";
import { fork } from "../../../../linux/fork.unsafe.ts";
import { allowUserSearch, joinSessionKeyring } from "../../../../linux/keyring.ts";
import { CLONE_NEW, unshare } from "../../../../linux/namespace.ts";
import {
  clearAmbientCapabilities, dropFromBoundingSet, setKeepCapabilities, setNoNewPrivileges, tryRaiseAmbient,
} from "../../../../linux/prctl.ts";
import { getPid, kill, shellCode, waitPid } from "../../../../linux/process.ts";
import { ALL_SIGNALS, NO_SIGNALS, resetSignalActions, setSignalMask } from "../../../../linux/signal.ts";
import { signalMask } from "../../../../linux/signalfd.ts";
import { defineCases, refusal } from "../../../support/forked.ts";

function file(path: string): string {
  using fd = open(path, O_RDONLY);
  return Buffer.from(readAll(fd)).toString();
}

const status = (field: string) => new RegExp(`^${field}:[ \\t]*(.*)$`, "m").exec(file("/proc/self/status"))?.[1]?.trim().replaceAll(/\s+/g, " ");
const capabilitySets = () => ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((name) => BigInt(`0x${status(name)}`));

/** The permissions column of our keyring's line. Source: proc_keys(5). */
function keyringPermissions(): string | undefined {
  const line = file("/proc/keys").split("\n").find((entry) => entry.includes("keyring") && entry.includes("tssandbox-test"));
  return line?.split(/\s+/)[4];
}

defineCases({
  "ids": () => {
    setGroups([5, 7, 4_000_000_000]);
    setGroupId(1001);
    setUserId(1000);
    return {
      uid: status("Uid"), gid: status("Gid"), groups: status("Groups"), effective: [effectiveUid(), effectiveGid()],
      back: refusal(() => setUserId(0)), groupsAgain: refusal(() => setGroups([])),
    };
  },
  "no groups": () => {
    setGroups([5]);
    setGroups([]);
    return status("Groups");
  },
  "setgroups denied": () => {
    unshare(CLONE_NEW.user, "user");
    return refusal(() => setGroups([]));
  },
  "capabilities": () => {
    const before = getCapabilities();
    setKeepCapabilities(true);
    setUserId(1000);
    const kept = getCapabilities();
    const high = (1n << 5n) | (1n << 39n);
    setCapabilities({ effective: 1n << 5n, permitted: high, inheritable: 1n << 39n });
    const [inheritable, permitted, effective] = capabilitySets();
    return {
      full: before.permitted === before.effective && before.permitted !== 0n,
      kept: kept.permitted === before.permitted && kept.effective === 0n,
      proc: { inheritable: inheritable === 1n << 39n, permitted: permitted === high, effective: effective === 1n << 5n },
      read: getCapabilities().permitted === high,
      grow: refusal(() => setCapabilities({ effective: 0n, permitted: high | 1n, inheritable: 0n })),
    };
  },
  "ambient": () => {
    const all = getCapabilities();
    const without = tryRaiseAmbient(10);
    setCapabilities({ ...all, inheritable: 1n << 10n });
    const raised = tryRaiseAmbient(10);
    const ambient = capabilitySets()[4];
    clearAmbientCapabilities();
    return { without, raised, ambient, cleared: capabilitySets()[4] };
  },
  "bounding": () => {
    const dropped = [dropFromBoundingSet(1), dropFromBoundingSet(63)];
    setNoNewPrivileges();
    return { dropped, has: ((capabilitySets()[3] ?? 0n) >> 1n) & 1n, noNewPrivs: status("NoNewPrivs") };
  },
  "keyring": () => {
    const serial = joinSessionKeyring("tssandbox-test");
    const before = keyringPermissions();
    allowUserSearch(serial);
    const after = keyringPermissions();
    const again = joinSessionKeyring("tssandbox-test");
    return { positive: serial > 0, before, after, another: again !== serial };
  },
  "mask": () => {
    const before = setSignalMask(signalMask([SIGNALS.SIGUSR1, 64]));
    const blocked = status("SigBlk");
    kill(getPid(), SIGNALS.SIGUSR1);
    const pending = status("ShdPnd");
    const previous = setSignalMask(ALL_SIGNALS);
    const all = status("SigBlk");
    return { before, blocked, pending, previous, all };
  },
  "unblocked": () => {
    // A pending signal with its default action ends the process as soon as it is unblocked.
    const ended = waitPid(fork(() => {
      setSignalMask(ALL_SIGNALS);
      kill(getPid(), SIGNALS.SIGUSR1);
      setSignalMask(NO_SIGNALS);
      return 0;
    }));
    return ended === undefined ? -1 : shellCode(ended.status);
  },
  "actions": () => {
    // Node ignores SIGPIPE and handles others; a forked child starts from the default for all.
    const inChild = { ignored: status("SigIgn"), caught: status("SigCgt") };
    resetSignalActions();
    return { inChild, ignored: status("SigIgn"), caught: status("SigCgt") };
  },
});
