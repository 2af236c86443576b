/** Source: crio.conf(5), crio.conf.d(5). A drop-in is laid over the distribution's file. */
import { HANDLERS, LINKS, MARK, type Engine } from "./engine.ts";
import { ownFile } from "./files.ts";

const DROP_IN = "/etc/crio/crio.conf.d/50-tssandbox.conf";

const handler = (name: string): string => `
[crio.runtime.runtimes.${name}]
runtime_path = "${LINKS}/${name}"
runtime_type = "oci"
runtime_root = "/run/tssandbox-crio"
`;

export const crio: Engine = {
  name: "crio",
  install: () => [ownFile(DROP_IN, `# ${MARK}\n${Object.keys(HANDLERS).map(handler).join("")}`)],
  uninstall: () => [ownFile(DROP_IN, undefined)],
  restart: ["systemctl", "restart", "crio"],
  // Its clients speak CRI, which runs no container without a pod and an image.
  runs: () => undefined,
};
