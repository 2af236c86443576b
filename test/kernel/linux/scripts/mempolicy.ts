import { MPOL_BIND, MPOL_DEFAULT, MPOL_F_STATIC_NODES, MPOL_LOCAL, MPOL_PREFERRED } from "../../../../linux/abi/mempolicy.ts";
import { getMemoryPolicy, setMemoryPolicy } from "../../../../linux/mempolicy.ts";
import { defineCases, messageOf, refusal } from "../../../support/forked.ts";

defineCases({
  "policies": () => {
    const first = getMemoryPolicy();
    setMemoryPolicy(MPOL_BIND, MPOL_F_STATIC_NODES, [0]);
    const bound = getMemoryPolicy();
    setMemoryPolicy(MPOL_PREFERRED, 0, [0]);
    const preferred = getMemoryPolicy();
    setMemoryPolicy(MPOL_LOCAL, 0, []);
    const local = getMemoryPolicy();
    setMemoryPolicy(MPOL_DEFAULT, 0, []);
    return { first, bound, preferred, local, last: getMemoryPolicy() };
  },
  "refusals": () => ({
    absentNode: refusal(() => setMemoryPolicy(MPOL_BIND, 0, [1000])),
    noNode: refusal(() => setMemoryPolicy(MPOL_BIND, 0, [])),
    nodesForDefault: refusal(() => setMemoryPolicy(MPOL_DEFAULT, 0, [0])),
    lastNode: refusal(() => setMemoryPolicy(MPOL_BIND, 0, [0, 1023])),
    outOfRange: messageOf(() => setMemoryPolicy(MPOL_BIND, 0, [1024])),
  }),
});
