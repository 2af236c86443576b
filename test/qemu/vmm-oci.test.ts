// Containers with `--mode vm`: QEMU emulates a processor with SVM, Debian runs in it, and there each container gets a machine with Debian's kernel.
import { afterAll, beforeAll, expect, test } from "vitest";

import { bootMachine } from "./machine.ts";
import type { CommandResult, Machine } from "./machine.ts";
import { buildGuestImage, GUEST_IMAGE, removeGuestImage } from "./vmm/guest-image.ts";

/** As emulated twice: a container's machine takes 10 s to boot on idle cores, and much longer on busy ones. */
const SECONDS = 400;

let machine: Machine;

const PREPARE = `
modprobe kvm_amd
mkdir -p /run/rootfs/{bin,proc,dev,sys,tmp,volume} /run/volume
cp /bin/busybox /run/rootfs/bin/
chroot /run/rootfs /bin/busybox --install -s /bin
head -c 20000000 /dev/urandom >/run/volume/big
bundle() { # NAME SCRIPT: reads nothing of the host's but its root and the volume
  mkdir -p /run/$1
  cat >/run/$1/config.json <<JSON
{ "ociVersion": "1.2.0", "root": { "path": "/run/rootfs" }, "hostname": "$1",
  "process": { "args": ["sh", "-c", "$2"], "cwd": "/", "env": ["PATH=/bin"], "user": { "uid": 0, "gid": 0 } },
  "mounts": [ { "destination": "/proc", "type": "proc", "source": "proc" }, { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
    { "destination": "/volume", "type": "bind", "source": "/run/volume", "options": ["rbind", "rw"] } ],
  "linux": { "namespaces": [ { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, { "type": "network" } ] } }
JSON
}
bundle one "echo out; echo err >&2; uname -r; hostname; sha256sum /volume/big; cat >/volume/written; echo lost >/lost; exit 7"
bundle two "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
`;

const script = (text: string): Promise<CommandResult> => machine.runScript(`export TSSANDBOX_VM_IMAGE=${GUEST_IMAGE}\n${text}`, { seconds: SECONDS });

beforeAll(async () => {
  await buildGuestImage();
  machine = await bootMachine({ cpu: "EPYC,+svm" });
  removeGuestImage();
  const { status, stderr } = await script(PREPARE);
  if (status !== 0) throw new Error(stderr);
});

afterAll(async () => {
  await machine?.[Symbol.asyncDispose]();
});

test("vm check says yes", async () => {
  const { status, stdout } = await script("bin/tssandbox vm check");
  expect([status, stdout]).toEqual([0, expect.stringMatching(/^yes, nested: /)]);
});

test("run: output, errors, input, exit code; a file through virtio-fs, both ways", async () => {
  const { status, stdout, stderr } = await script("echo typed | bin/tssandbox --mode vm run --bundle /run/one one");
  const lines = stdout.trim().split("\n");
  const facts = await script("sha256sum </run/volume/big; cat /run/volume/written; ls /run/rootfs /run/tssandbox; pgrep -f tssandbox-vmm");
  expect([status, stderr]).toEqual([7, "err\n"]);
  expect([lines[0], lines[2]]).toEqual(["out", "one"]);
  expect(lines[1]).toMatch(/^6\.1\.0-\d+-cloud-amd64$/);
  const [sum, written] = facts.stdout.split("\n");
  expect(lines[3]?.split(" ")[0]).toBe(sum?.split(" ")[0]);
  expect(written).toBe("typed");
  // Nothing is left, and what was written to the root stayed in the guest.
  expect(facts.stdout).not.toContain("lost");
  expect(facts.stdout).toMatch(/\/run\/tssandbox:\n$/);
});

test("create, start, exec, another machine beside it, pause, resume, signals, delete", async () => {
  const { stdout, stderr } = await script(`
    state() { bin/tssandbox state two | sed -n 's/.*"status": "\\(.*\\)".*/\\1/p'; }
    bin/tssandbox --mode vm create --bundle /run/two --pid-file /run/two.pid two </dev/null >/run/two.out 2>&1 || { cat /run/two.out; exit; }
    state
    bin/tssandbox start two; state
    bin/tssandbox exec two sh -c 'hostname; exit 5'; echo exec $?
    bin/tssandbox exec two sh -c 'kill -9 $$'; echo exec $?
    bin/tssandbox --mode vm run --bundle /run/one other </dev/null 2>/dev/null | sed -n '1p;3p'; state
    bin/tssandbox pause two; state
    bin/tssandbox resume two; state
    bin/tssandbox kill two TERM
    for i in $(seq 300); do [ "$(state)" = stopped ] && break; sleep 0.1; done
    state; cat /run/two.out
    bin/tssandbox delete two; ls /run/tssandbox; pgrep -f tssandbox-vmm; true`);
  expect(stderr).toBe("");
  expect(stdout.trim().split("\n")).toEqual(["created", "running", "two", "exec 5", "exec 137", "out", "one", "running", "paused", "running", "stopped", "ready", "caught"]);
});
