/** Job control on a real terminal: the same dialogue natively and in a sandbox, with the same text on the screen. */
import { afterAll, expect, test } from "vitest";
import { removeWorkDir } from "../support/paths.ts";
import { PLATFORM, runBoth, type Command } from "./support.ts";

afterAll(removeWorkDir);

const PROMPT = /\$ $/;
const CONTROL_C = "\x03";
const CONTROL_Z = "\x1a";
const CONTROL_BACKSLASH = "\x1c";
const END = "\x04";

/** Defined in the shell. A key is typed once the tasks that it is for are what they are to be, and have the terminal. */
const FUNCTIONS = [
  `started() { sh -c 'echo started >&2; exec "$@"' sh "$@"; }`,
  `last() { sh -c 'until ps -o args= -C sleep | grep -q "sleep 100"; do sleep 0.02; done; echo started >&2; exec "$@"' sh "$@"; }`,
].join("; ");

/**
 * Each line is typed at the prompt; an array's further elements once its pattern has appeared. A stopped task is `T` in ps(1), and `t` where it is traced,
 * as all are on platform ptrace.
 */
const shell: Command = {
  args: ["/bin/bash", "--norc", "--noprofile", "-i"],
  dialogue: [
    [/# $/, "PS1='$ '; bind 'set enable-bracketed-paste off'; stty -echo\n"],
    [PROMPT, `${FUNCTIONS}; echo ready\n`],
    [/ready\r\n\$ $/, "tty | sed 's/[0-9]*$//'; stty size; ps -o stat=,tty= -p $$ | sed 's/[0-9]*$//'\n"],
    [PROMPT, "echo before; cat\n"],
    [/before\r\n$/, `typed\n${END}`],
    [/typed\r\n\$ $/, "sleep 100 | last sleep 101\n"],
    [/started\r\n$/, CONTROL_Z],
    [/Stopped[^]*\$ $/, "jobs; ps -o stat= -C sleep | cut -c1 | tr t T\n"],
    [PROMPT, "bg; jobs -r\n"],
    [PROMPT, "fg\n"],
    // bash says the job's name before it hands the terminal over.
    [/sleep 101\r\n$/, CONTROL_C, 1000],
    [PROMPT, "echo status $?; sleep 0.2 & wait $!; echo waited\n"],
    [/waited\r\n[^]*\$ $/, "started sleep 100\n"],
    [/started\r\n$/, CONTROL_BACKSLASH],
    [/Quit[^]*\$ $/, "cat < /dev/tty & until ps -o stat= -p $! | grep -qi t; do sleep 0.05; done; jobs %%\n"],
    [/Stopped +cat < .dev.tty\r\n\$ $/, "kill -9 %%; while kill -0 $! 2> /dev/null; do sleep 0.05; done; jobs\n"],
    [/Killed[^]*\$ $/, "(trap 'echo resized' WINCH; stty rows 40 cols 90; sleep 0.1; stty size)\n"],
    [/40 90\r\n\$ $/, "set +m; python3 -c 'import os, pty; print(pty.spawn([\"sh\", \"-c\", \"tty | tr -d 0-9; stty size; exit 3\"]))'\n"],
    [/\n768\r\n\$ $/, "suspended() { kill -STOP $BASHPID; echo resumed; }; set -m; suspended & until ps -o stat= -p $! | grep -qi t; do sleep 0.05; done; kill -CONT %%; wait; exec 3> /dev/tty; echo by name >&3\n"],
    [/by name\r\n[^]*\$ $/, "disown -a; trap 'echo hung up' HUP; kill -HUP $$; trap - HUP; exit 5\n"],
  ],
};

/** Without process ids; nor what ended while bash was waiting for it anyhow, which it tells or not, as it comes. */
const normalised = (text: string) => text.replace(/^(\$ )?\[\d+\]\+  Done .*\r\n/gm, "$1").replace(/\[(\d+)\] \d+\r$/gm, "[$1] PID").replace(/^(\/bin\/bash: line \d+:|bash:) +\d+ /gm, "$1 PID ");

/** On platform ptrace under `strict` the ^C behind `fg` comes before bash has handed the terminal over (decision 0040). */
const POLICIES = PLATFORM === "ptrace" ? ["balanced"] : ["balanced", "strict"];

test.each(POLICIES)(`bash with jobs (${PLATFORM}, %s)`, async (policy) => {
  const { native, sandbox } = await runBoth({ ...shell, edit: (spec) => Object.assign(spec, { annotations: { "dev.tssandbox.policy": policy } }) });
  expect(native.code, native.stdout).toBe(5);
  expect(native.stdout).toMatch(/resized[^]*resumed[^]*hung up/);
  expect(normalised(sandbox.stdout)).toBe(normalised(native.stdout));
  expect(sandbox.code).toBe(5);
});
