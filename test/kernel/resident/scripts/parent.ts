import { readdirSync } from "node:fs";
import { join } from "node:path";
import { waitPid } from "../../../../linux/process.ts";
import { createContainer } from "../../../../runtime/container/create.ts";
import type { CreateOptions } from "../../../../runtime/container/options.ts";
import { destroyContainer } from "../../../../runtime/container/delete.ts";
import { startContainer } from "../../../../runtime/container/start.ts";
import { NO_CONFIG } from "../../../../runtime/config/schema.ts";
import { Logger } from "../../../../runtime/log.ts";
import { defineCases, messageOf } from "../../../support/forked.ts";

const log = new Logger({ format: "text", debug: false });

const optionsOf = (bundle: string, id: string): CreateOptions => ({
  root: join(bundle, "state"),
  id,
  bundle,
  mode: "namespace",
  config: NO_CONFIG,
  systemdCgroup: false,
  rootless: false,
  console: () => undefined,
  pidFile: undefined,
  preserveFds: 0,
  noPivot: false,
  newKeyring: true,
  log,
});

const descriptors = () => readdirSync("/proc/self/fd").length;

/** How many descriptors more there are after `action` has been done, and done again. */
function growth(action: () => void): number {
  action();
  const before = descriptors();
  action();
  return descriptors() - before;
}

defineCases({
  "run": (bundle = "", id = "") => growth(() => {
    const container = createContainer(optionsOf(bundle, id));
    startContainer(container);
    waitPid(container.record.pid);
    destroyContainer(container, log);
  }),
  "fail": (bundle = "", id = "") => {
    let message = "";
    const grown = growth(() => { message = messageOf(() => createContainer(optionsOf(bundle, id))); });
    return { grown, message };
  },
});
