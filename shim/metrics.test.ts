import { expect, test } from "vitest";
import { memoryFields } from "./metrics.ts";
import { MemoryStatSchema as V1 } from "./proto/generated/metrics_v1_pb.js";
import { MemoryStatSchema as V2 } from "./proto/generated/metrics_v2_pb.js";

const raw = { cache: 1, pgpgin: 2, total_pgmajfault: 3, inactive_file: 4, total_inactive_file: 5, hierarchical_memory_limit: 2n ** 63n, hierarchical_memsw_limit: 6, no_such_counter: 7, slab_reclaimable: 8 };

test("memory.stat of v1 by the message's names", () => {
  const others = { pgpgin: "pgPgIn", pgmajfault: "pgMajFault", hierarchical_memsw_limit: "hierarchicalSwapLimit" };
  expect(memoryFields(raw, V1, others)).toEqual({ cache: 1n, pgPgIn: 2n, totalPgMajFault: 3n, inactiveFile: 4n, totalInactiveFile: 5n, hierarchicalMemoryLimit: 2n ** 63n, hierarchicalSwapLimit: 6n });
});

test("and of v2", () => {
  expect(memoryFields(raw, V2, {})).toEqual({ inactiveFile: 4n, slabReclaimable: 8n });
});
