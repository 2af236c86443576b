/** containerd 2. */
import { expect, test } from "vitest";
import { fetchContainerd2 } from "./newer.ts";
import { criSuite } from "./shim-cri-suite.ts";
import { execute } from "./support.ts";

test("it is containerd 2", async () => {
  expect((await execute([`${await fetchContainerd2()}/containerd`, "--version"])).stdout).toMatch(/ 2\.\d/);
});

criSuite(fetchContainerd2);
