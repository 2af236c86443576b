/** `hostUsers: false`: a pod with a user namespace, which containerd 2 gives it. */
import { chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NamespaceMode } from "./cri/generated/cri_pb.js";
import { USERNS_HANDLERS } from "./cri/node.ts";
import { namespaceOptions, Pods } from "./cri/pods.ts";
import { fetchContainerd2 } from "./newer.ts";
import { namespaceOf, statusField } from "./support.ts";

let pods: Pods;
beforeAll(async () => {
  pods = await Pods.start(await fetchContainerd2());
});
afterAll(async () => pods?.[Symbol.asyncDispose]());

const FIRST = 200_000;
const maps = [{ containerId: 0, hostId: FIRST, length: 65_536 }];
const userNamespace = { ...namespaceOptions, usernsOptions: { mode: NamespaceMode.POD, uids: maps, gids: maps } };
const uidOf = (pid: number) => Number(statusField(pid, "Uid").split("\t")[0]);

describe.each(["namespace", "sentry"] as const)("%s", (mode) => {
  test("root is somebody else on the host; images and volumes have the ids that they have on disk", async () => {
    const volume = pods.containerd.workspace.path(`volume-${mode}`);
    mkdirSync(volume);
    writeFileSync(`${volume}/file`, "of 1234\n", { mode: 0o600 });
    chownSync(`${volume}/file`, 1234, 1234);
    const pod = await pods.run(mode, USERNS_HANDLERS[mode], { security: { namespaceOptions: userNamespace } });
    const more = { mounts: [{ containerPath: "/data", hostPath: volume, uidMappings: maps, gidMappings: maps }], security: { namespaceOptions: userNamespace } };
    const [one, two] = [await pod.start("one", "exec sleep 1000", more), await pod.start("two", "exec sleep 1000", { ...more, security: { ...more.security, runAsUser: { value: 1234n } } })];
    const [pid, other] = [await pods.containerd.pid(one), await pods.containerd.pid(two)];
    expect([uidOf(pid), uidOf(other)]).toEqual([FIRST, FIRST + 1234]);
    expect(namespaceOf(other, "user")).toBe(namespaceOf(pid, "user"));
    const script = "id -u; stat -c '%u %g' / /bin/busybox /data/file; echo made > /data/by-root; echo kept > /tmp/file; cat /tmp/file; echo written > /dev/stdout";
    expect(await pods.cri.exec(one, "sh", "-c", script)).toEqual({ code: 0, stderr: "", stdout: "0\n0 0\n0 0\n1234 1234\nkept\nwritten\n" });
    expect((await pods.cri.exec(two, "sh", "-c", "id -u; cat /data/file; echo more >> /data/file; test -w /data/by-root || echo refused")).stdout).toBe("1234\nof 1234\nrefused\n");
    expect(statSync(`${volume}/by-root`)).toMatchObject({ uid: 0, gid: 0 });
    expect(readFileSync(`${volume}/file`, "utf8")).toBe("of 1234\nmore\n");
    await pod.remove();
  });
});
