// Programs as they come from the distribution, under the balanced policy's filter and without: they must print the same and end the same. What traps
// is continued by the stand-in for the sentry; what the sentry makes of it is its own tests' business.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compiledPolicy } from "../../../policies/syscalls/compiled.ts";
import { ensurePackages } from "../../packages.ts";
import { Programs } from "./programs.ts";

const programs = new Programs();
let host = "";
let runs = 0;

beforeAll(async () => {
  await ensurePackages(["make", "gdb", "strace"]);
  host = programs.build("policy-host");
  writeFileSync(programs.path("filter"), compiledPolicy("balanced"));
});

afterAll(() => programs[Symbol.dispose]());

function run(words: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const cwd = programs.path(`run-${runs++}`);
  mkdirSync(cwd);
  const [program = "", ...args] = words;
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: "utf8", timeout: 50_000, env: { ...process.env, LC_ALL: "C" } });
  return { status, stdout, stderr };
}

const underFilter = (words: readonly string[]) => run([host, programs.path("filter"), "continue", programs.path("census"), ...words]);

const scripts: Readonly<Record<string, string>> = {
  "files and the tools for them":
    "mkdir a; for i in 1 2 3; do echo $i > a/$i; done; cp -a a b; mv b c; ln -s a d; ln a/1 e; find . | sort; mkfifo p; (echo 1 > p &); cat p; chmod 600 e; stat -c '%a %h' e; " +
    "truncate -s 5 y; dd if=/dev/zero of=z bs=4k count=4 conv=fsync status=none; wc -c y z; tar cf - a | tar tf -; install -m 755 e x; sync -f y; timeout 1 true; nice true; flock y true; rm -r a",
  "jobs and signals": "sleep 0.1 & wait $!; trap 'echo caught' USR1; kill -USR1 $$; (kill -TERM $BASHPID); echo $?; set -m; sleep 0.5 & fg >/dev/null; ulimit -n; umask",
  "a terminal": "script -qec 'stty size; tty >/dev/null && echo terminal; stty raw; stty sane; bash -ic \"sleep 0.5 & fg\"' /dev/null </dev/null | sed 's/\\^D//' | tr -d '\\b' | grep -v '^\\['",
  "a compiler": "printf '#include <stdio.h>\\nint main(void){puts(\"built\");}' > m.c; printf 'm: m.o\\n\\tgcc -o $@ $^\\n' > Makefile; make -s -j2 && ./m",
  "a repository": "git init -q; seq 50 | split -l1; git add .; git -c user.name=n -c user.email=e commit -qm m; git status --short; git gc -q; git clone -q . c; git -C c ls-files | wc -l",
  "a debugger": "printf 'int main(void){return 3;}' > m.c; gcc -g -o m m.c; gdb -batch -ex 'break main' -ex run -ex 'print 1+1' -ex kill ./m 2>&1 | grep -E '^\\$1|Breakpoint 1,'; strace -f -e trace=none -o /dev/null ./m; echo $?",
  Python:
    "python3 -c \"import socket, threading, subprocess, os, mmap, select, fcntl, shutil, tempfile; s=socket.create_server(('127.0.0.1',0)); c=socket.create_connection(s.getsockname()); a,_=s.accept(); " +
    "c.sendall(b'x'); print(a.recv(1)); e=select.epoll(); e.register(a); t=threading.Thread(target=print, args=('thread',)); t.start(); t.join(); print(subprocess.run(['echo','child'],capture_output=True).stdout); " +
    "m=mmap.mmap(-1,4096); m[0]=1; p=socket.socketpair(); socket.send_fds(p[0],[b'f'],[1]); print(len(socket.recv_fds(p[1],1,1)[1])); print(socket.if_nameindex()[0]); os.memfd_create('m'); print(os.sched_getaffinity(0)!=set())\"",
};

describe("the same with the filter as without", () => {
  test.each(Object.entries(scripts))("%s", (_what, script) => {
    const words = ["bash", "-c", script];
    const native = run(words);
    expect(native.status).toBe(0);
    expect(native.stdout).not.toBe("");
    expect(underFilter(words)).toEqual(native);
  });

  test("Node, which asks for io_uring, protection keys and netlink", () => {
    const script =
      "const fs=require('fs'),os=require('os');fs.writeFileSync('f','1');fs.promises.readFile('f','utf8').then(console.log);console.log(Object.keys(os.networkInterfaces()).includes('lo'));" +
      "require('child_process').execSync('true');new(require('worker_threads').Worker)('console.log(2)',{eval:true});fs.watch('.').close();" +
      "const s=require('http').createServer((q,r)=>r.end('served')).listen(0,()=>fetch('http://127.0.0.1:'+s.address().port).then(r=>r.text()).then(t=>{console.log(t);s.close();s.closeAllConnections()}))";
    const native = run([process.execPath, "-e", script]);
    const filtered = underFilter([process.execPath, "-e", script]);
    const lines = ({ stdout, ...rest }: typeof native) => ({ ...rest, lines: stdout.trim().split("\n").sort() });
    expect(native.status).toBe(0);
    expect(lines(filtered)).toEqual(lines(native));
  });

  test("what root of a user namespace may do otherwise, root of a guest may not", () => {
    const script = ["unshare -r true", "mount -t tmpfs t /mnt", "hostname x", "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'"];
    const words = ["bash", "-c", script.join("; ")];
    expect(programs.runInside(words)).toMatchObject({ status: 0, stderr: "" });
    const filtered = programs.runInside([host, programs.path("filter"), "continue", programs.path("census"), ...words]);
    expect(filtered.stderr).toMatch(/unshare failed: Operation not permitted[^]*\/mnt: permission denied[^]*must be root to change the host name[^]*Address family not supported/);
  });
});
