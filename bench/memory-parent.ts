/** The parent of bench/memory.ts: makes containers in sandboxes, `BUNDLE COUNT`, and lives until its standard input ends, as a shim does. */
import { join } from "node:path";
import process from "node:process";
import { createContainer } from "../runtime/container/create.ts";
import { destroyContainer } from "../runtime/container/delete.ts";
import { startContainer } from "../runtime/container/start.ts";
import { Logger } from "../runtime/log.ts";

const [bundle = "", count = "0"] = process.argv.slice(2);
const log = new Logger({ format: "text", debug: false });

const create = (id: string) =>
  createContainer({
    root: join(bundle, "state"), id, bundle, mode: "sentry", systemdCgroup: false, rootless: false, console: () => undefined,
    pidFile: undefined, preserveFds: 0, noPivot: false, newKeyring: true, log,
  });

/** What the first container needs is loaded then; a collection after it leaves a small heap for all further children to share. */
function warm(): void {
  const container = create("memory-warm");
  startContainer(container);
  destroyContainer(container, log);
  globalThis.gc?.();
}

warm();
const containers = Array.from({ length: Number(count) }, (_, i) => create(`memory-${i}`));
for (const container of containers) startContainer(container);
process.stdout.write("started\n");
process.stdin.on("end", () => containers.forEach((container) => destroyContainer(container, log))).resume();
