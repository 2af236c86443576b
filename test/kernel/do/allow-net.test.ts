// `do --allow-net`. The runtime is called in a network namespace of the test's own, with servers in it and no way to anything else.
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensurePackages } from "../../packages.ts";
import { nodePath } from "../../support/forked.ts";
import { ignoreGone } from "../../support/host.ts";
import { until } from "../../support/until.ts";
import { binary } from "./support.ts";

const NETWORK = `tssa-${process.pid}`;
const [ONE, TWO] = ["10.99.1.1", "10.99.1.2"];
const directory = mkdtempSync(join(tmpdir(), "tss-allow-net-"));
const resolv = join(directory, "resolv.conf");
const ip = (...words: string[]) => execFileSync("ip", words);
const inside = ["nsenter", `--net=/run/netns/${NETWORK}`, "unshare", "--mount", "--propagation", "private", "sh", "-c", `mount --bind ${resolv} /etc/resolv.conf && exec "$@"`, "sh"];
let servers: ChildProcess | undefined;

beforeAll(async () => {
  await ensurePackages(["iproute2", "slirp4netns"]);
  writeFileSync(resolv, `nameserver ${ONE}\n`);
  ip("netns", "add", NETWORK);
  ip("-n", NETWORK, "link", "set", "lo", "up");
  for (const address of [ONE, TWO]) ip("-n", NETWORK, "addr", "add", `${address}/32`, "dev", "lo");
  const args = [join(import.meta.dirname, "../sandbox/scripts/egress-servers.ts"), `${ONE},${TWO}`, "8080,8081", `good.example=${TWO},evil.example=${ONE}`];
  servers = spawn("nsenter", [`--net=/run/netns/${NETWORK}`, nodePath, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  await once(servers.stdout!, "data");
});
afterAll(() => {
  servers?.kill();
  ip("netns", "del", NETWORK);
  rmSync(directory, { recursive: true });
});

/** Connects to each, and says what came of it. */
const PROGRAM = `
import socket, sys
for word in sys.argv[1:]:
    host, port = word.split(":")
    try: socket.create_connection((host, int(port)), 10); print(word, "open")
    except OSError as e: print(word, type(e).__name__, e.errno)
`;

function run(flags: readonly string[], ...words: string[]) {
  const [command = "", ...rest] = [...inside, binary, "do", ...flags, "--", "python3", "-c", PROGRAM, ...words];
  const environment = { ...process.env, TSSANDBOX_MODE: undefined };
  return spawnSync(command, rest, { cwd: "/", encoding: "utf8", env: environment });
}

const proxies = () => readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && (ignoreGone(() => readFileSync(`/proc/${pid}/cmdline`, "latin1")) ?? "").startsWith("slirp4netns\0"));

describe("do --allow-net", () => {
  test("a name with a port: nothing else, and what was refused is told of at the end; no slirp4netns is left", async () => {
    const result = run(["--allow-net", "good.example:8080"], "good.example:8080", "good.example:8081", `${ONE}:8080`, "evil.example:8080");
    expect(result).toMatchObject({ status: 0, stdout: `good.example:8080 open\ngood.example:8081 OSError 113\n${ONE}:8080 OSError 113\nevil.example:8080 gaierror -3\n` });
    const told = /^tssandbox: warning: --allow-net has refused: ([^\n]+)\n$/.exec(result.stderr)?.[1]?.split(", ").toSorted();
    expect(told, result.stderr).toEqual(["name evil.example", `tcp ${ONE}:8080`, `tcp ${TWO}:8081`]);
    await until("the end of slirp4netns", () => proxies().length === 0);
  });

  test("several targets, addresses among them", () => {
    expect(run(["--allow-net", `${ONE}:8080-8081`, "--allow-net", "*"], `${ONE}:8081`, `${TWO}:8080`, "evil.example:8080")).toMatchObject({ status: 0, stdout: `${ONE}:8081 open\n${TWO}:8080 open\nevil.example:8080 open\n`, stderr: "" });
  });

  test.each([
    [["--allow-net", "http://example.com"], /--allow-net: "http:\/\/example\.com" is not an address, a network or a name/],
    [["--allow-net", "*", "--network", "host"], /--allow-net: the host's network/],
  ])("%j is refused", (flags, words) => {
    const result = run(flags);
    expect(result).toMatchObject({ status: 125, stdout: "" });
    expect(result.stderr).toMatch(words);
  });
});
