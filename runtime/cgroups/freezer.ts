import { EBUSY } from "../../linux/abi/errno.ts";
import { SysError } from "../../linux/errors.ts";
import { now, sleepMs, waitUntil } from "../../linux/sleep.ts";
import { readOptional, type CgroupDir } from "./files.ts";


export interface Freezer {
  /** Returns once every process is stopped. @throws SysError EBUSY where that takes more than `freezeTimeoutMs`; thawed then. */
  freeze(): void;
  thaw(): void;
  /** Frozen itself, as opposed to by an ancestor. */
  isFrozen(): boolean;
}

const freezeTimeoutMs = 2000;

function timedOut({ path }: CgroupDir): SysError {
  return new SysError({ step: "cgroup freezer", syscall: "freeze", path, errno: EBUSY, hint: `not frozen after ${freezeTimeoutMs} ms` });
}

/**
 * A tree that keeps forking can stay in FREEZING for good, as the kernel does not freeze what appears afterwards: the
 * state is written again and again, with a thaw in between. Source: Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst.
 */
export function freezerV1(dir: CgroupDir): Freezer {
  const thaw = (): void => dir.write("freezer.state", "THAWED");
  const tryFreeze = (attempt: number): boolean => {
    if (attempt % 50 === 49) {
      thaw();
      sleepMs(10);
    }
    dir.write("freezer.state", "FROZEN");
    return dir.read("freezer.state").trim() === "FROZEN";
  };
  return {
    freeze() {
      const end = now() + freezeTimeoutMs;
      try {
        for (let attempt = 0; !tryFreeze(attempt); attempt++) if (now() > end) throw timedOut(dir);
      } catch (error) {
        thaw();
        throw error;
      }
    },
    thaw,
    isFrozen: () => readOptional(dir, "freezer.self_freezing") === "1",
  };
}

/** Source: Documentation/admin-guide/cgroup-v2.rst, cgroup.freeze. */
export function freezerV2(dir: CgroupDir): Freezer {
  const thaw = (): void => dir.write("cgroup.freeze", "0");
  return {
    freeze() {
      dir.write("cgroup.freeze", "1");
      if (waitUntil(freezeTimeoutMs, () => /^frozen 1$/m.test(dir.read("cgroup.events")))) return;
      thaw();
      throw timedOut(dir);
    },
    thaw,
    isFrozen: () => readOptional(dir, "cgroup.freeze") === "1",
  };
}
