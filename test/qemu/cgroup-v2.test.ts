// The tests of test/kernel that need cgroup v2 with all controllers, AppArmor, or systemd; and of the OCI contract what behaves differently there.
import { globSync } from "node:fs";

import { REPOSITORY } from "./images.ts";
import { describeInside } from "./inside.ts";
import { bootMachine } from "./machine.ts";

const files = globSync(["test/kernel/v2/*.test.ts", "test/kernel/systemd/*.test.ts", "test/kernel/cgroups-v2-core.test.ts"], {
  cwd: REPOSITORY,
});
const contract = ["test/kernel/oci/cgroups.test.ts", "test/kernel/oci/lifecycle.test.ts"];

const noCgroup = "no cgroup is involved, the kernel lane covers it";
const skips = {
  "life cycle: create (": noCgroup,
  "life cycle: start and exit (": noCgroup,
  "life cycle: state and list (": noCgroup,
  "kill takes the names that engines send": noCgroup,
  "kill NOSUCH is refused": noCgroup,
  "kill -1 is refused": noCgroup,
  "kill 999 is refused": noCgroup,
  "kill 1x is refused": noCgroup,
  "an unknown command ends with 3": noCgroup,
  "a missing or a surplus word is an error": noCgroup,
  "cpu.shares": "expects the weight that runc 1.1 computes, ours is that of newer ones",
  "--systemd-cgroup on a machine without systemd": "this machine has systemd",
};

await using machine = await bootMachine();
await describeInside(machine, { files: [...files, ...contract].sort(), skips, seconds: 1800 });
