import { describe, expect, it } from "vitest";
import { EBUSY } from "../../../linux/abi/errno.ts";
import { recordingDir } from "../recording-dir.ts";
import { setMemoryV1, setMemoryV2, swapMaxV2, wantsMemory } from "./memory.ts";

const v1 = (limit: number): Record<string, string> => ({
  "memory.limit_in_bytes": `${limit}\n`, "memory.memsw.limit_in_bytes": `${limit}\n`, "memory.usage_in_bytes": "500\n", "memory.max_usage_in_bytes": "600\n",
});

describe("memory, v1", () => {
  it("raises memory+swap before memory", () => {
    const dir = recordingDir(v1(100));
    setMemoryV1(dir, { limit: 200, swap: 300 });
    expect(dir.writes).toEqual(["memory.memsw.limit_in_bytes = 300", "memory.limit_in_bytes = 200"]);
  });

  it("lowers memory before memory+swap", () => {
    const dir = recordingDir(v1(1000));
    setMemoryV1(dir, { limit: 200, swap: 300 });
    expect(dir.writes).toEqual(["memory.limit_in_bytes = 200", "memory.memsw.limit_in_bytes = 300"]);
  });

  it("lifts both limits when memory alone becomes unlimited, where swap is counted", () => {
    const dir = recordingDir(v1(100));
    setMemoryV1(dir, { limit: -1 });
    expect(dir.writes).toEqual(["memory.memsw.limit_in_bytes = -1", "memory.limit_in_bytes = -1"]);
    const withoutSwap = recordingDir({ "memory.limit_in_bytes": "100" });
    setMemoryV1(withoutSwap, { limit: -1 });
    expect(withoutSwap.writes).toEqual(["memory.limit_in_bytes = -1"]);
  });

  it("says how much is used where the kernel cannot shrink that far", () => {
    const dir = recordingDir(v1(1000), (file) => (file === "memory.limit_in_bytes" ? EBUSY : undefined));
    expect(() => setMemoryV1(dir, { limit: 400 })).toThrow("linux.resources.memory.limit: 400 is below what cannot be reclaimed (current usage: 500, peak usage: 600)");
  });

  it("refuses a limit below the usage when told to check, and only then", () => {
    expect(() => setMemoryV1(recordingDir(v1(1000)), { limit: 400, checkBeforeUpdate: true })).toThrow("400 is not above the current usage 500");
    setMemoryV1(recordingDir(v1(1000)), { limit: 400 });
    setMemoryV1(recordingDir(v1(1000)), { limit: -1, checkBeforeUpdate: true });
  });

  it("writes the other knobs, and none for 0 or for -1 as swappiness", () => {
    const dir = recordingDir({ ...v1(1000), "memory.use_hierarchy": "0" });
    setMemoryV1(dir, { reservation: 7, kernelTCP: 8, useHierarchy: true, disableOOMKiller: true, swappiness: 60 });
    expect(dir.writes).toEqual(["memory.soft_limit_in_bytes = 7", "memory.kmem.tcp.limit_in_bytes = 8", "memory.use_hierarchy = 1", "memory.oom_control = 1", "memory.swappiness = 60"]);
    expect(wantsMemory({ limit: 0, swap: 0, disableOOMKiller: false, swappiness: 2 ** 64 - 2048 })).toBe(false);
    expect(() => setMemoryV1(dir, { swappiness: 101 })).toThrow("101 is not in 0..100");
  });
});

describe("memory, v2", () => {
  it("takes memory away from memory+swap", () => {
    expect(swapMaxV2({ limit: 100, swap: 300 })).toBe("200");
    expect(swapMaxV2({ limit: 100, swap: 100 })).toBe("0");
    expect(swapMaxV2({ limit: 100, swap: -1 })).toBe("max");
    expect(swapMaxV2({ limit: 100 })).toBe(undefined);
    expect(swapMaxV2({ limit: -1 })).toBe("max");
    expect(swapMaxV2({ limit: -1, swap: 70 })).toBe("70");
    expect(() => swapMaxV2({ swap: 100 })).toThrow("needs memory.limit");
    expect(() => swapMaxV2({ limit: 200, swap: 100 })).toThrow("100 is below memory.limit 200");
  });

  it("writes max, low and swap.max; no swap file is needed to have no swap", () => {
    const dir = recordingDir({ "memory.swap.max": "max" });
    setMemoryV2(dir, { limit: 100, swap: 100, reservation: 50 });
    expect(dir.writes).toEqual(["memory.swap.max = 0", "memory.max = 100", "memory.low = 50"]);
    const bare = recordingDir({});
    setMemoryV2(bare, { limit: -1, swap: -1 });
    expect(bare.writes).toEqual(["memory.max = max"]);
  });

  it("refuses what v2 does not have, instead of forgetting it", () => {
    expect(() => setMemoryV2(recordingDir({}), { swappiness: 10 })).toThrow("linux.resources.memory.swappiness: cgroup v2 has no such setting");
    expect(() => setMemoryV2(recordingDir({}), { disableOOMKiller: true })).toThrow("memory.disableOOMKiller");
    expect(() => setMemoryV2(recordingDir({}), { kernelTCP: 5 })).toThrow("memory.kernelTCP");
  });
});
