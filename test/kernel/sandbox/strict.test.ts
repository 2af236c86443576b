/** Programs under --policy strict, with busybox for a root: the names, files and pipes that the sentry plays. */
import { describe, expect, test } from "vitest";
import type { CommandOptions, Container } from "../../support/container.ts";
import type { Spec } from "../../support/spec.ts";
import { make } from "../errors/own.ts";
import { inspect, SENTRY } from "./support.ts";

const STRICT: CommandOptions = { global: ["--mode", "sentry", "--policy", "strict"] };

function writable(spec: Spec): void {
  spec.root.readonly = false;
}

const shell = (script: string, edit: (spec: Spec, bundle: Container["bundle"]) => void = writable) => make({ args: ["sh", "-c", script], edit });

async function run(script: string): Promise<string> {
  await using c = shell(script);
  const output = await c.mustRun(STRICT);
  await c.expectNothingLeft();
  return output;
}

describe("files", () => {
  test.each([
    ["are written, appended to and read", "echo one > /f; echo two >> /f; cat /f; wc -c < /f", "one\ntwo\n8\n"],
    ["are listed, renamed, linked and removed", "mkdir -p /d/e; cd /d; touch a; mv a b; ln b c; ln -s b l; rm b; ls; readlink l; rmdir e; ls | wc -l", "c\ne\nl\nb\n2\n"],
    ["have modes by the umask, and times", "umask 077; touch /f; mkdir /d; stat -c %a /f /d; touch -d '2001-02-03 04:05:06' /f; stat -c %Y /f; chmod 4751 /f; stat -c %a /f", "600\n700\n981173106\n4751\n"],
    ["are found from the working directory", "mkdir -p /d/e; cd /d/e; echo x > ../f; cat ../f; pwd; cd ..; pwd; cat f", "x\n/d/e\n/d\nx\n"],
    ["share their position among all descriptors of one open file", "printf 'a\\nb\\nc\\n' > /f; exec 3< /f; read x <&3; (read y <&3; echo $y); read z <&3; echo $x $z", "b\na c\n"],
    ["that are not there are told of as by Linux", "cat /none; cat /dev; echo x > /none/y; cd /bin/sh", ""],
  ])("%s", async (_what, script, stdout) => {
    await using c = shell(script);
    expect(await c.run(STRICT)).toMatchObject({ stdout });
  });

  test("are refused to whom they are closed", async () => {
    await using c = shell("id -u; cat /secret; echo x > /bin/f; mkdir /bin/d", (spec, bundle) => {
      writable(spec);
      if (spec.process !== undefined) spec.process.user = { uid: 1000, gid: 1000 };
      bundle.file("secret", "x", 0o600);
    });
    const { stdout, stderr } = await c.run(STRICT);
    expect(stdout).toBe("1000\n");
    expect(stderr.match(/ermission denied/g)).toHaveLength(3);
  });

  test("are each caller's to see, where calls of several users come in turns", async () => {
    const look = "for i in $(seq 40); do cat /own/f /f 2>/dev/null; done | wc -l";
    const script = `mkdir -m 700 /own; echo x | tee /own/f > /f; chmod 644 /own/f /f; (${look}) > /root-sees & start-stop-daemon -S -c 1000:1000 -x /bin/sh -- -c '${look}' > /user-sees; wait; cat /root-sees /user-sees`;
    await using c = shell(script, (spec) => {
      writable(spec);
      const capabilities = ["CAP_SETUID", "CAP_SETGID"];
      if (spec.process !== undefined) spec.process.capabilities = { bounding: capabilities, effective: capabilities, permitted: capabilities };
    });
    expect(await c.mustRun(STRICT)).toBe("80\n40\n");
  });

  test("of /proc do not tell of the host's cgroups", async () => {
    expect(await run("cut -d: -f3 /proc/self/cgroup | sort -u; cut -d: -f3 /proc/1/cgroup | sort -u")).toBe("/\n/\n");
  });

  test("of /proc are the caller's own", async () => {
    expect(await run("cut -d' ' -f2 /proc/mounts | grep -cx /; grep -c lo: /proc/net/dev; readlink /proc/mounts")).toBe("1\n1\nself/mounts\n");
    expect(await run("readlink /proc/self/exe; grep -c . /proc/self/status > /dev/null && echo read; echo $$; cd /proc/self && cat comm")).toBe("/bin/busybox\nread\n1\ncat\n");
  });
});

describe("pipes", () => {
  test.each([
    ["carry data, and end", "echo a | cat; printf 'b\\n' | cat | cat", "a\nb\n"],
    ["wait for a writer", "(sleep 0.2; echo late) | cat", "late\n"],
    ["make a writer wait, and end it where nobody reads", "yes | head -c 300000 | wc -c; dd if=/dev/zero bs=1000 count=1000 2>/dev/null | wc -c", "300000\n1000000\n"],
    ["end with the last of many writers", "(echo a; (sleep 0.2; echo b) &) | cat", "a\nb\n"],
    ["are ended by signals as by Linux", "(sleep 10 | cat; echo no) & p=$!; sleep 0.2; kill $p; wait $p; echo $?", "143\n"],
    ["are the input of a shell's substitution", "x=$(echo one; echo two); echo \"$x\" | wc -l", "2\n"],
  ])("%s", async (_what, script, stdout) => expect(await run(script)).toBe(stdout));
});

test("the policy is in the state, and exec follows it", async () => {
  await using c = make({ args: ["sleep", "100"] });
  await c.mustBegin(STRICT);
  expect(await c.mustExec(["sh", "-c", "echo a | cat; grep Seccomp: /proc/self/status"])).toBe("a\nSeccomp:\t2\n");
  expect(await c.mustExec(["sh", "-c", "cat /etc/hostname"])).toBe("rootfs\n");
  expect(await inspect(c)).toMatchObject({ policy: "strict" });
});

test("--strace tells that the sentry does what it does", async () => {
  await using c = shell("echo a");
  const { stderr } = await c.run({ global: [...(STRICT.global ?? []), "--strace"] });
  expect(stderr).toContain('[1] write(1, "a\\n", 2) = 2 (sentry)\n');
  expect(stderr).toMatch(/^\[1\] getuid\(\) = 0$/m);
});

const annotated = (policy: string) => shell("sleep 100", (spec) => void Object.assign(spec, { annotations: { "dev.tssandbox.policy": policy } }));

test("an image may ask for the stricter policy, and not for the other", async () => {
  await using asked = annotated("strict");
  await asked.mustBegin(SENTRY);
  expect(await inspect(asked)).toMatchObject({ policy: "strict" });
  await using lower = annotated("balanced");
  await lower.mustBegin(STRICT);
  expect(await inspect(lower)).toMatchObject({ policy: "strict" });
  await using wrong = annotated("lax");
  expect(await wrong.run(SENTRY)).toMatchObject({ code: 1, stderr: expect.stringContaining("must be one of balanced, strict") });
});

test("a policy without a sandbox is refused", async () => {
  await using c = shell("true");
  expect(await c.run({ global: ["--mode", "namespace", "--policy", "strict"] })).toMatchObject({ code: 1, stderr: expect.stringContaining("needs a sandbox") });
});
