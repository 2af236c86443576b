// The tests of test/kernel that need cgroup v2 with all controllers, or systemd.
import { globSync } from "node:fs";

import { REPOSITORY } from "./images.ts";
import { describeInside } from "./inside.ts";
import { bootMachine } from "./machine.ts";

const files = globSync(["test/kernel/v2/*.test.ts", "test/kernel/systemd/*.test.ts", "test/kernel/cgroups-v2-core.test.ts"], {
  cwd: REPOSITORY,
}).sort();

await using machine = await bootMachine();
await describeInside(machine, { files, seconds: 300 });
