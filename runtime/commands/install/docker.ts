/** Source: dockerd(8), "runtimes" of daemon.json, which dockerd reads again at SIGHUP. */
import { HANDLERS, LINKS, type Change, type Engine } from "./engine.ts";
import { textOf } from "./files.ts";

const FILE = "/etc/docker/daemon.json";
const IMAGE = "tssandbox-install-check";

type Json = Record<string, unknown>;

function edited(backup: "make" | "drop", change: (runtimes: Json) => void): Change[] {
  const before = textOf(FILE);
  const document = parsed(before ?? "{}");
  const runtimes = { ...(document["runtimes"] as Json | undefined) };
  const first = !Object.keys(HANDLERS).some((name) => name in runtimes);
  change(runtimes);
  if (Object.keys(runtimes).length > 0) document["runtimes"] = runtimes;
  else delete document["runtimes"];
  const after = `${JSON.stringify(document, null, indentOf(before))}\n`;
  return [{ path: FILE, before, after: Object.keys(document).length === 0 ? undefined : after, ...(backup === "drop" || first ? { backup } : {}) }];
}

/** @throws Error where it is not what dockerd would take: we do not repair it. */
function parsed(text: string): Json {
  const document = JSON.parse(text) as unknown;
  if (typeof document !== "object" || document === null || Array.isArray(document)) throw new Error(`${FILE}: must be an object`);
  return document as Json;
}

/** As its owner has it. */
const indentOf = (text = ""): string => /^([ \t]+)"/m.exec(text)?.[1] ?? "  ";

export const docker: Engine = {
  name: "docker",
  install: () => edited("make", (runtimes) => Object.keys(HANDLERS).forEach((name) => (runtimes[name] = { path: `${LINKS}/${name}` }))),
  uninstall: () => (textOf(FILE) === undefined ? [] : edited("drop", (runtimes) => Object.keys(HANDLERS).forEach((name) => delete runtimes[name]))),
  restart: ["systemctl", "reload", "docker"],
  runs: (root, program) => ({
    before: ["sh", "-c", `tar -C "$1" -c . | docker import - ${IMAGE}`, "sh", root],
    command: ["docker", "run", "--rm", "--runtime", "tssandbox", "--network", "none", IMAGE, program],
    after: ["docker", "rmi", IMAGE],
  }),
};
