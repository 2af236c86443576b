/** Sockets under --policy strict: programs observe what they observe natively. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { removeWorkDir } from "../support/paths.ts";
import type { Spec } from "../support/spec.ts";
import { bash, runBoth, runInSandbox } from "./support.ts";

afterAll(removeWorkDir);

function strictly(spec: Spec): void {
  Object.assign(spec, { annotations: { "dev.tssandbox.policy": "strict" } });
}

const script = (name: string): string => readFileSync(join(import.meta.dirname, name), "utf8");

/** With less to do, since every call of theirs takes longer. */
const PROGRAMS: readonly (readonly [name: string, text: string])[] = [
  ["redis", script("programs/redis.sh").replaceAll("-n 20000", "-n 200").replaceAll("-n 5000", "-n 200")],
  ["iproute2", "ip addr | grep -v 'valid_lft'; ip route; ip rule; ip neigh; ip -6 route; getent hosts localhost; echo; echo done"],
  ["nginx", script("programs/nginx.sh").replaceAll("-d2s", "-d1s")],
];

/** What no two runs have in common. */
const normalised = (text: string): string => text.replaceAll(/\d{4}\/\d\d\/\d\d [\d:]+ \[notice\] \d+#\d+/g, "[notice]");

test("of all families, as python3 sees them", async () => {
  const { native, sandbox } = await runBoth({ args: ["python3", "-c", script("strict-sockets.py")], edit: strictly });
  expect(native, native.stderr).toMatchObject({ code: 0, stderr: "" });
  expect(sandbox).toEqual(native);
});

describe("programs", () => {
  test.each(PROGRAMS)("%s", async (_name, text) => {
    const { native, sandbox } = await runBoth({ args: bash(text), edit: strictly });
    expect(native.code, native.stderr).toBe(0);
    expect(native.stdout).toMatch(/\n.*done\n$/);
    expect({ ...sandbox, stderr: normalised(sandbox.stderr) }).toEqual({ ...native, stderr: normalised(native.stderr) });
  });
});

/** Natively the closing process would wait; here it would be the sentry, and with it everybody. */
test("one that lingers is not waited for", async () => {
  const text = `
import socket, struct, time
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 100))
client.setblocking(False)
try:
    while True: client.send(bytes(100_000))
except BlockingIOError: pass
start = time.monotonic()
client.close()
open("/etc/passwd").read()
print(time.monotonic() - start < 50)`;
  expect(await runInSandbox({ args: ["python3", "-c", text], edit: strictly })).toEqual({ code: 0, stdout: "True\n", stderr: "" });
});
