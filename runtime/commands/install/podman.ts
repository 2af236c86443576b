/** Source: containers.conf(5). A drop-in is laid over the distribution's file. */
import { HANDLERS, LINKS, MARK, type Engine } from "./engine.ts";
import { ownFile } from "./files.ts";

const DROP_IN = "/etc/containers/containers.conf.d/50-tssandbox.conf";

const text = `# ${MARK}
[engine.runtimes]
${Object.keys(HANDLERS).map((name) => `${name} = ["${LINKS}/${name}"]`).join("\n")}
`;

export const podman: Engine = {
  name: "podman",
  install: () => [ownFile(DROP_IN, text)],
  uninstall: () => [ownFile(DROP_IN, undefined)],
  restart: undefined,
  runs: (root, program) => ({ command: ["podman", "--runtime", "tssandbox", "run", "--rm", "--network", "none", "--rootfs", root, program] }),
};
