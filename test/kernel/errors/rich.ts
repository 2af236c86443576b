/** A configuration that makes the runtime go through every step it has, so that a walk over its steps misses none. */
import { mkdirSync } from "node:fs";
import { createServer, type Server } from "node:net";
import type { Bundle } from "../../support/bundle.ts";
import type { IdMapping, Spec } from "../../support/spec.ts";

const MAP: IdMapping[] = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
const HOOKS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/** Without a user namespace of its own a container's init is forked in another way. */
export function enrich(spec: Spec, bundle: Bundle, userNamespace: boolean): void {
  mkdirSync(bundle.path("data"));
  Object.assign(spec.process!, {
    terminal: true, consoleSize: { height: 24, width: 80 }, oomScoreAdj: 100,
    rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }],
    scheduler: { policy: "SCHED_OTHER", nice: 1 }, ioPriority: { class: "IOPRIO_CLASS_BE", priority: 5 },
    execCPUAffinity: { initial: "0", final: "0" },
  });
  Object.assign(spec, { domainname: "faults", hooks: Object.fromEntries(HOOKS.map((name) => [name, [{ path: "/bin/true" }]])) });
  spec.mounts.push(
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"] },
    { destination: "/mnt", type: "none", source: bundle.path("data"), options: ["bind", "idmap"], uidMappings: MAP, gidMappings: MAP },
    { destination: "/var", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] },
  );
  spec.linux.namespaces.push({ type: "cgroup" });
  if (userNamespace) {
    spec.linux.namespaces.push({ type: "user" }, { type: "time" });
    Object.assign(spec.linux, { uidMappings: MAP, gidMappings: MAP, timeOffsets: { monotonic: { secs: 100, nanosecs: 0 } } });
  }
  Object.assign(spec.linux, {
    personality: { domain: "LINUX" },
    sysctl: { "net.ipv4.ip_unprivileged_port_start": "80" },
    seccomp: { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }] },
  });
  Object.assign(spec.linux.resources!, { memory: { limit: 64 << 20 }, pids: { limit: 50 }, cpu: { shares: 512 } });
}

/** An engine's console socket that keeps what it is sent unread: the terminal stays open as long as the connection. */
export async function consoleSocket(path: string): Promise<Server> {
  const server = createServer({ pauseOnConnect: true }, (connection) => connection.on("error", () => {}));
  await new Promise<void>((done) => server.listen(path, done));
  return server;
}
