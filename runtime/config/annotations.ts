import { ConfigError } from "../spec/report.ts";
import type { Config } from "./schema.ts";

const HOST_SOCKETS = "dev.tssandbox.host-sockets";

/** Annotations come from whoever starts the container: what opens the sandbox, the host's configuration may forbid. @throws ConfigError */
export function refuseForbidden({ hostSockets }: Config, annotations: Readonly<Record<string, string>>): void {
  if (hostSockets === "never" && annotations[HOST_SOCKETS] === "true") throw new ConfigError("config.json", `annotations["${HOST_SOCKETS}"]`, "this host's configuration forbids it (hostSockets)");
}
