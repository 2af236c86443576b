import { readdirSync } from "node:fs";
import { waitPid } from "../../../../linux/process.ts";
import { createContainer } from "../../../../runtime/container/create.ts";
import { destroyContainer } from "../../../../runtime/container/delete.ts";
import { startContainer } from "../../../../runtime/container/start.ts";
import { defineCases, messageOf } from "../../../support/forked.ts";
import { log, optionsOf } from "../../../../bench/resident-options.ts";

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
