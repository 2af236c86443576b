/** What a resident parent makes containers with, here and in test/kernel/resident. */
import { join } from "node:path";
import { NO_CONFIG } from "../runtime/config/schema.ts";
import type { CreateOptions } from "../runtime/container/options.ts";
import { Logger } from "../runtime/log.ts";

export const log = new Logger({ format: "text", debug: false });

export const optionsOf = (bundle: string, id: string, more: Partial<CreateOptions> = {}): CreateOptions => ({
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
  ...more,
});
