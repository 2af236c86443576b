import process from "node:process";
import { afterEach, expect, test } from "vitest";
import type { Registry } from "./commands/registry.ts";
import { Command } from "./commander.ts";
import { LIFE } from "./cli.ts";
import { configure } from "./full-cli.ts";
import { GLOBAL_OPTIONS } from "./global-options.ts";
import { parseQuickly } from "./quick-command.ts";

interface Read {
  readonly flags: object;
  readonly args: readonly unknown[];
}

const recorder = (told: unknown[][]): Registry["action"] => (_run, code) => async (...args) => void told.push([code, ...args]);

async function byCommander(argv: readonly string[]): Promise<Read | undefined> {
  const told: unknown[][] = [];
  const program = new Command("tssandbox");
  configure(program);
  program.configureOutput({ writeOut: () => {}, writeErr: () => {}, outputError: () => {} });
  for (const register of Object.values(LIFE)) register({ program, action: recorder(told) });
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch {
    return undefined;
  }
  // The last is the command itself.
  return { flags: program.opts(), args: told[0]?.slice(0, -1) ?? [] };
}

async function quickly(argv: readonly string[]): Promise<Read | undefined> {
  const told: unknown[][] = [];
  const line = parseQuickly(argv, GLOBAL_OPTIONS, LIFE, recorder(told));
  await line?.run();
  return line === undefined ? undefined : { flags: line.flags, args: told[0] ?? [] };
}

const PLAIN = [
  "run box",
  "--root /run/x --log /l --log-format json --debug run --bundle /b --detach --pid-file /p box",
  "--mode namespace --policy=strict --platform ptrace --strace --rootless true --criu /c run box",
  "--systemd-cgroup create -b /b --console-socket /s --preserve-fds 3 --no-pivot --no-new-keyring box",
  "create --bundle=/b --pid-file= box",
  "run box --keep --no-subreaper -d",
  "start box",
  "state box",
  "kill box",
  "kill box 9",
  "kill --all box SIGTERM",
  "kill box KILL -a",
  "delete --force box",
  "delete -f box",
  "--root /run/x exec --process /p.json --detach --pid-file /pid box",
  "exec -t -e A=1 --env B=2 -u 1:2 -g 3 --additional-gids 4 --cap CAP_CHOWN --cwd /w box ls -la --color",
  "exec box",
  "exec box -- ls",
  "exec --preserve-fds 2 --no-new-privs --ignore-paused --cgroup cpu:/x box true",
];

test.each(PLAIN)("%s is read as commander reads it", async (line) => {
  const argv = line.split(" ");
  const read = await quickly(argv);
  expect(read).toBeDefined();
  expect(read).toEqual(await byCommander(argv));
});

const FOR_COMMANDER = [
  "", "--version", "--help", "help run", "list", "nonsense", "run", "run --help", "run box more", "run --nonsense box", "run -db /b box", "run -b/b box", "run --bundle", "run --detach=yes box",
  "run --preserve-fds many box", "kill box NOSUCH", "kill box -9", "--mode other run box", "--log-format xml run box", "--mode", "run -- box", "exec --process - box", "exec",
];

test.each(FOR_COMMANDER)("%s is left to commander", async (line) => {
  expect(await quickly(line === "" ? [] : line.split(" "))).toBeUndefined();
});

afterEach(() => {
  delete process.env["TSSANDBOX_MODE"];
});

test("the environment stands in for an option that is not given", async () => {
  process.env["TSSANDBOX_MODE"] = "namespace";
  for (const argv of [["state", "box"], ["--mode", "vm", "state", "box"]]) expect(await quickly(argv)).toEqual(await byCommander(argv));
  process.env["TSSANDBOX_MODE"] = "other";
  expect(await quickly(["state", "box"])).toBeUndefined();
});
