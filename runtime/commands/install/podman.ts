/** Source: containers.conf(5). A drop-in is laid over the distribution's file. */
import { HANDLERS, LINKS, MARK, type Engine } from "./engine.ts";
import { ownFile } from "./files.ts";

const DROP_IN = "/etc/containers/containers.conf.d/50-tssandbox.conf";

/** Those that podman knows by itself, whose list this one replaces; in JSON it has a runtime's own words. Source: containers-common, pkg/config/default.go. */
const SPEAK_JSON = ["crun", "crun-vm", "kata", "krun", "runc", "runsc", "youki", ...Object.keys(HANDLERS)];

const text = `# ${MARK}
[engine]
runtime_supports_json = ${JSON.stringify(SPEAK_JSON)}
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
