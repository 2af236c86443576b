/** What `kubectl exec`, `attach` and `port-forward` do, through containerd's streaming server. */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HANDLERS } from "./cri/node.ts";
import { CHANNEL } from "./cri/websocket.ts";
import { LOOP, type Pod, Pods } from "./cri/pods.ts";
import { eventually } from "./support.ts";

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

/** @param binaries where containerd is, unless the one is meant that is installed. */
export function streamsSuite(binaries?: () => Promise<string>): void {
  let pods: Pods;
  beforeAll(async () => {
    pods = await Pods.start(await binaries?.());
  });
  afterAll(async () => pods?.[Symbol.asyncDispose]());

  describe.each(["namespace", "sentry"] as const)("%s", (mode) => {
    let pod: Pod;
    let id = "";
    beforeAll(async () => {
      const served = pods.containerd.workspace.path(`served-${mode}`);
      mkdirSync(served);
      writeFileSync(`${served}/index.html`, `from ${mode}\n`);
      pod = await pods.run(mode, HANDLERS[mode]);
      id = await pod.start("one", `httpd -p 8080 -h /served; ${LOOP}`, { mounts: [{ containerPath: "/served", hostPath: served }] });
    });
    afterAll(async () => pod?.remove());

    const sh = (script: string, asked = {}) => pods.exec(id, ["sh", "-c", script], asked);

    describe("exec", () => {
      test("both outputs, and the exit code", async () => {
        using command = await sh("echo out; echo err >&2; exit 5");
        expect(await command.exitCode()).toBe(5);
        expect([(await command.stdout.ended).toString(), (await command.stderr?.ended)?.toString()]).toEqual(["out\n", "err\n"]);
      });

      test("success, and death by a signal", async () => {
        using fine = await sh("exit 0");
        expect(await fine.exitCode()).toBe(0);
        using killed = await sh("kill -9 $$");
        expect(await killed.exitCode()).toBe(137);
      });

      test("a program that there is not", async () => {
        using missing = await pods.exec(id, ["no-such-program"]);
        expect(await missing.exitCode()).toBeUndefined();
        expect(missing.problem).toMatch(/no-such-program/);
      });

      test("stdin to its end: a megabyte in, and out again", async () => {
        const bytes = randomBytes(1 << 20);
        using command = await sh("cat", { stdin: true });
        command.stdin?.write(bytes);
        command.stdin?.end();
        expect(await command.exitCode()).toBe(0);
        expect(sha256(await command.stdout.ended)).toBe(sha256(bytes));
      });

      test("a terminal: its size and a new one, echo, Ctrl-C, the exit code", async () => {
        using command = await sh("trap 'echo interrupted; exit 7' INT; until stty size | grep '33 101'; do sleep 0.1; done; echo ready; until stty size | grep '44 120'; do sleep 0.1; done; while :; do sleep 0.1; done", { stdin: true, tty: true });
        command.resize(101, 33);
        await eventually("the first size is there", () => command.stdout.text.includes("ready\r\n"));
        command.resize(120, 44);
        await eventually("and the second", () => command.stdout.text.includes("44 120\r\n"));
        command.stdin?.write("typed\n");
        await eventually("what is typed is echoed", () => command.stdout.text.includes("typed\r\n"));
        command.stdin?.write("\x03");
        expect(await command.exitCode()).toBe(7);
        expect((await command.stdout.ended).toString()).toMatch(/interrupted\r\n$/);
      });

      test("whose client goes away: nothing of it is left", async () => {
        const shim = await pods.containerd.shim(id);
        const descriptors = () => readdirSync(`/proc/${shim}/fd`).length;
        const before = descriptors();
        {
          using command = await pods.exec(id, ["cat"], { stdin: true });
          command.stdin?.write("begun\n");
          await eventually("it runs", () => command.stdout.text === "begun\n");
        }
        // containerd 1.6 ends its input, 2 kills it.
        await eventually("it ends", async () => (await pods.cri.exec(id, "pidof", "cat")).code === 1);
        await eventually("its streams are closed", () => descriptors() <= before);
      });

      test("by a WebSocket", async () => {
        using command = await pods.execByWebSocket(id, ["sh", "-c", "read line; echo got $line; echo err >&2; exit 6"]);
        command.write("this\n");
        await command.ended;
        expect([command.text(CHANNEL.stdout), command.text(CHANNEL.stderr)]).toEqual(["got this\n", "err\n"]);
        expect(JSON.parse(command.text(CHANNEL.error))).toMatchObject({ status: "Failure", details: { causes: [{ reason: "ExitCode", message: "6" }] } });
      });

      test("eight at once keep their streams apart", async () => {
        const all = await Promise.all(Array.from({ length: 8 }, (_, n) => sh(`cat; exit ${n}`, { stdin: true })));
        all.forEach((command, n) => {
          command.stdin?.write(`line ${n}\n`);
          command.stdin?.end();
        });
        const ends = await Promise.all(all.map(async (command) => [await command.exitCode(), (await command.stdout.ended).toString()]));
        expect(ends).toEqual(all.map((_, n) => [n, `line ${n}\n`]));
        for (const command of all) command[Symbol.dispose]();
      });
    });

    describe("attach", () => {
      test("to a running container: what it is told and tells; another one later; the log has all", async () => {
        const echo = await pod.start("echo", "while read line; do echo \"got $line\"; echo \"err $line\" >&2; test \"$line\" = bye && exit 6; done", { stdin: true });
        {
          using first = await pods.attach(echo, { stdin: true });
          first.stdin?.write("one\n");
          await eventually("it answers", () => first.stdout.text === "got one\n" && first.stderr?.text === "err one\n");
        }
        using second = await pods.attach(echo, { stdin: true });
        using watcher = await pods.attach(echo);
        // The server listens some time after it has said that one is attached.
        await eventually("both listen", () => {
          second.stdin?.write("again\n");
          return [second, watcher].every(({ stdout }) => stdout.text.startsWith("got again\n"));
        });
        second.stdin?.write("end\n");
        await eventually("both have heard it", () => [second, watcher].every(({ stdout }) => stdout.text.endsWith("got end\n")));
        second.stdin?.write("bye\n");
        // What a container says with its last breath is in the log; who is attached may be let go before.
        for (const { stdout } of [second, watcher]) expect((await stdout.ended).toString()).toMatch(/^(got again\n)+got end\n(got bye\n)?$/);
        expect((await pods.exited(echo)).exitCode).toBe(6);
        const logged = (stream: string) => pod.log("echo").filter((line) => line.startsWith(stream));
        await eventually("the log is whole", () => logged("stdout").at(-1) === "stdout F got bye" && logged("stderr").length === logged("stdout").length);
        expect(logged("stdout")[0]).toBe("stdout F got one");
      });

      test("with a terminal, and its size", async () => {
        const shell = await pod.start("shell", "exec sh", { stdin: true, tty: true });
        using attached = await pods.attach(shell, { stdin: true, tty: true });
        attached.resize(77, 22);
        await eventually("its size is set", async () => {
          attached.stdin?.write("stty size\n");
          return attached.stdout.text.includes("22 77\r\n");
        });
        attached.stdin?.write("exit 8\n");
        await attached.stdout.ended;
        expect((await pods.exited(shell)).exitCode).toBe(8);
      });

      test("stdin once: the end of the client's is the end of the container's", async () => {
        const once = await pod.start("once", "cat; exit 4", { stdin: true, stdinOnce: true });
        using attached = await pods.attach(once, { stdin: true });
        attached.stdin?.write("all of it");
        attached.stdin?.end();
        expect((await attached.stdout.ended).toString()).toBe("all of it");
        expect((await pods.exited(once)).exitCode).toBe(4);
      });
    });

    describe("port-forward", () => {
      test("several connections, one after the other and at once", async () => {
        using forward = await pods.portForward(pod);
        const get = async () => {
          const { data, error } = forward.open(8080);
          data.write("GET /index.html HTTP/1.0\r\n\r\n");
          return [(await data.ended).toString(), (await error.ended).toString()];
        };
        const whole = [expect.stringMatching(new RegExp(`^HTTP/1\\.[01] 200 OK\\r\\n[^]*\\r\\n\\r\\nfrom ${mode}\\n$`)), ""];
        expect(await get()).toEqual(whole);
        expect(await Promise.all(Array.from({ length: 6 }, get))).toEqual(Array.from({ length: 6 }, () => whole));
      });

      test("a port at which nobody listens: told, and others go on", async () => {
        using forward = await pods.portForward(pod);
        expect((await forward.open(9).error.ended).toString()).toMatch(/connection refused/i);
      });
    });
  });
}
