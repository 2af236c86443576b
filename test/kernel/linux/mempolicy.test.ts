import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { MPOL_BIND, MPOL_F_STATIC_NODES, MPOL_LOCAL, MPOL_PREFERRED } from "../../../linux/abi/mempolicy.ts";
import { runCase } from "../../support/forked.ts";

const script = fileURLToPath(new URL("scripts/mempolicy.ts", import.meta.url));

test("a memory policy is what get_mempolicy(2) then tells", () => {
  expect(runCase(script, "policies")).toEqual({
    first: { mode: 0, nodes: [] },
    bound: { mode: MPOL_BIND | MPOL_F_STATIC_NODES, nodes: [0] },
    preferred: { mode: MPOL_PREFERRED, nodes: [0] },
    local: { mode: MPOL_LOCAL, nodes: [] },
    last: { mode: 0, nodes: [] },
  });
});

test("nodes that do not exist or do not fit the mode are refused", () => {
  expect(runCase(script, "refusals")).toEqual({
    absentNode: "EINVAL",
    noNode: "EINVAL",
    nodesForDefault: "EINVAL",
    lastNode: "ok",
    outOfRange: "not a NUMA node: 1024",
  });
});
