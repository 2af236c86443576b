/** Under --policy strict: the programs of test/guest/areas that it can run so far, and real programs, observe what they observe natively. */
import { execFileSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { removeWorkDir } from "../support/paths.ts";
import type { Spec } from "../support/spec.ts";
import { AREA_DIFFERENCES } from "./area-differences.ts";
import { bash, freshDirectory, runBoth } from "./support.ts";

afterAll(removeWorkDir);

const SOURCES = join(import.meta.dirname, "../guest/areas");
/** Left out: trace, whose calls are refused (decision 0041). */
const AREAS = ["confine", "copying", "directories", "events", "exec", "locks", "memory", "processes", "signals", "sockets", "terminals", "threads", "timers"] as const;

/** What is otherwise than natively: lines of the program, before and after. */
const DIFFERENCES: readonly { readonly area: string; readonly lines: readonly (readonly [native: string, strict: string])[]; readonly reason: string }[] = [
  {
    area: "memory",
    reason: "Others' memory is refused to debuggers.",
    lines: [
      ["process_vm_readv: ok", "process_vm_readv: EPERM"], ["read: before", "read: "], ["process_vm_writev: ok", "process_vm_writev: EPERM"], ["of init: ok", "of init: EPERM"],
      ["read: after!", "read: before"],
    ],
  },
  {
    area: "confine",
    reason: "Landlock would rule the guest's own opens, which are the sentry's here: it is absent, as from a kernel without it.",
    lines: [
      ["Landlock: Landlock: 1", "Landlock: Landlock: 0"], ["ruleset: ok", "ruleset: 0"], ["rule: ok", "rule: ENOSYS"], ["restrict: ok", "restrict: ENOSYS"],
      ["not to write: EACCES", "not to write: ok"], ["elsewhere: EACCES", "elsewhere: ok"], ["in the volume: EACCES", "in the volume: ok"],
    ],
  },
];

/** What `balanced` observes otherwise, and this does not: the sentry has the locks of processes, a gofer has not. */
const AS_NATIVELY: readonly string[] = ["locks"];

function strictly(spec: Spec): void {
  Object.assign(spec, { annotations: { "dev.tssandbox.policy": "strict" } });
}

let programs = "";

beforeAll(() => {
  programs = freshDirectory();
  chmodSync(programs, 0o755);
  for (const area of AREAS) {
    const flags = ["-static", "-pthread", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result"];
    execFileSync("gcc", [...flags, "-o", join(programs, area), join(SOURCES, `${area}.c`)], { stdio: ["ignore", "inherit", "inherit"] });
  }
});

function differing(native: string, sandbox: string): [string | undefined, string | undefined][] {
  const [before, after] = [native.split("\n"), sandbox.split("\n")];
  const rows = Array.from({ length: Math.max(before.length, after.length) }, (_, i): [string | undefined, string | undefined] => [before[i], after[i]]);
  return rows.filter(([one, other]) => one !== other);
}

test.each(AREAS)("%s", async (area) => {
  const { native, sandbox } = await runBoth(() => ({ args: [`/guest/${area}`], lend: { "/guest": programs, "/volume": freshDirectory() }, edit: strictly }));
  expect(native, native.stdout + native.stderr).toMatchObject({ code: 0 });
  expect(sandbox, sandbox.stdout + sandbox.stderr).toMatchObject({ code: 0, stderr: native.stderr });
  const balanced = AREA_DIFFERENCES.filter((known) => known.area === area && !AS_NATIVELY.includes(area)).map(({ native: before, sandbox: after }) => [before, after]);
  const strict = DIFFERENCES.filter((known) => known.area === area).flatMap(({ lines }) => lines);
  expect(differing(native.stdout, sandbox.stdout).sort()).toEqual([...strict, ...balanced].sort());
});

describe("real programs", () => {
  test.each([
    ["bash", 'for i in 3 1 2; do echo $i; done | sort | paste -sd+ | bc; x=$(ls / | wc -l); [ "$x" -gt 5 ] && echo many; trap "echo trapped" USR1; kill -USR1 $$; cat <(echo process) <<< here; echo ${RANDOM:+random}; printf "%s\\n" /etc/host*'],
    ["coreutils", "cd /tmp; seq 1000 > a; split -l 300 a p; cat p* | cmp - a && echo same; sha256sum a; du -b a; stat -c '%s %a %h' a; ln a b; cp -a a c; mv c d; ls; tac a | head -1; dd if=a bs=100 skip=1 count=1 2>/dev/null | md5sum; mktemp -u | wc -c; tail -n 2 a; truncate -s 10 a; wc -c a; find /tmp -name 'p*' | sort"],
    ["python3", 'python3 -c "import json, os, subprocess, tempfile, threading, zlib\nwith tempfile.TemporaryDirectory() as d:\n  open(d + \'/f\', \'w\').write(\'x\' * 100000)\n  print(os.path.getsize(d + \'/f\'), os.listdir(d))\nprint(subprocess.run([\'sort\'], input=b\'b\\na\\n\', stdout=subprocess.PIPE).stdout)\nt = threading.Thread(target=print, args=(\'thread\',)); t.start(); t.join()\nprint(json.dumps(sorted(os.uname()._fields if False else [1, 2])))"'],
    ["waiting, in python3", `python3 - <<'EOF'
import ctypes, os, select, struct, threading, time
libc = ctypes.CDLL(None)
r, w = os.pipe()
ep = select.epoll()
ep.register(r, select.EPOLLIN)
def late(fd, data): threading.Timer(0.1, lambda: os.write(fd, data)).start()
print(ep.poll(0)); os.write(w, b"x"); print(ep.poll(1)); os.read(r, 1); print(ep.poll(0.05))
late(w, b"y"); print(ep.poll(5), os.read(r, 1))
ep.modify(r, select.EPOLLIN | select.EPOLLET); os.write(w, b"z"); print(ep.poll(1), ep.poll(0.05))
late(w, b"!"); print(select.select([r], [w], [], 5)[1] == [w], ep.poll(5))
os.close(w); print(ep.poll(1), os.read(r, 9), os.read(r, 1))
e = libc.eventfd(3, 0); print(os.read(e, 8)); late(e, struct.pack("q", 5)); print(os.read(e, 8))
t = libc.timerfd_create(1, 0); ep.unregister(r); ep.register(t, select.EPOLLIN)
print(libc.timerfd_settime(t, 0, struct.pack("qqqq", 0, 0, 0, 100_000_000), None)); s = time.monotonic(); print(len(os.read(t, 8)), time.monotonic() - s > 0.09)
at = time.clock_gettime(1) + 0.2; print(libc.timerfd_settime(t, 1, struct.pack("qqqq", 0, 0, int(at), int(at % 1 * 1e9)), None), len(ep.poll(5)), time.clock_gettime(1) >= at)
m = os.memfd_create("m"); os.write(m, b"memory"); print(os.pread(m, 6, 0), os.fstat(m).st_size)
EOF`],
    ["waiting for a device that never changes, and for what a kill closes, in python3", `python3 - <<'EOF'
import ctypes, os, select, signal, time
p = select.poll(); p.register(os.open("/dev/null", os.O_RDWR), select.POLLPRI); print(p.poll(20))
libc = ctypes.CDLL(None)
for n in range(20):
    pid = os.fork()
    if pid == 0: os.read(libc.inotify_init1(0), 100)
    time.sleep(0.02); os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
print("served")
EOF`],
    ["pipes, and positions of devices, in python3", `python3 - <<'EOF'
import fcntl, os, signal, threading
r, w = os.pipe(); got = []
def reader():
    for data in iter(lambda: os.read(r, 3000), b""): got.append(data)
t = threading.Thread(target=reader); t.start()
data = bytes(range(256)) * 2000
print(os.write(w, data) == len(data), os.writev(w, [b"a" * 100000, b"b" * 50000]))
signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
big = os.urandom(1 << 20)
for i in range(5):
    rest = memoryview(big)
    while rest: rest = rest[os.write(w, rest):]
signal.setitimer(signal.ITIMER_REAL, 0); os.close(w); t.join()
print(b"".join(got) == data + b"a" * 100000 + b"b" * 50000 + big * 5)
r, w = os.pipe()
print(fcntl.fcntl(w, 1032), fcntl.fcntl(w, 1031, 100000), fcntl.fcntl(r, 1032), os.write(w, b"x" * 70000))
def told(call):
    try: print(call())
    except OSError as error: print(error.strerror)
told(lambda: fcntl.fcntl(w, 1031, 4096)); told(lambda: fcntl.fcntl(w, 1031, 1 << 21))
print(len(os.read(r, 100000)), fcntl.fcntl(w, 1031, 1))
os.set_blocking(w, False); print(os.write(w, b"y" * 5000)); told(lambda: os.write(w, b"z"))
n = os.open("/dev/null", os.O_RDWR); told(lambda: os.lseek(n, 5, 0)); told(lambda: os.lseek(r, 0, 0)); told(lambda: os.sendfile(n, os.open("/etc/passwd", 0), -10, 5))
signal.pidfd_send_signal(os.open("/proc/%d" % os.getpid(), os.O_DIRECTORY), signal.SIGALRM)
EOF`],
    ["limits of file sizes", `cd /tmp; python3 - <<'EOF'
import os, resource, subprocess
f = os.open("f", os.O_RDWR | os.O_CREAT); a = os.open("a", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
def told(call):
    try: print(call())
    except OSError as error: print(error.strerror)
told(lambda: os.write(f, b"x" * 8000)); told(lambda: os.write(f, b"x" * 8000)); told(lambda: os.write(f, b"x")); told(lambda: os.write(f, b""))
told(lambda: os.pwrite(f, b"12345", 9998)); told(lambda: os.write(a, b"x" * 9999)); told(lambda: os.write(a, b"xyz")); told(lambda: os.write(a, b"x"))
told(lambda: os.ftruncate(f, 10_001)); told(lambda: os.truncate("f", 20_000)); told(lambda: os.posix_fallocate(f, 9_000, 2_000)); told(lambda: os.ftruncate(f, 10_000))
os.lseek(f, 9_000, 0); told(lambda: os.sendfile(f, os.open("/bin/true", 0), 0, 5_000)); told(lambda: os.sendfile(f, os.open("/bin/true", 0), 0, 5_000))
told(lambda: os.stat("f").st_size); r, w = os.pipe(); told(lambda: os.write(w, b"x" * 20_000))
print(subprocess.run(["bash", "-c", "ulimit -f 4; exec head -c 9000 /dev/zero > g"]).returncode, os.stat("g").st_size)
EOF`],
    ["descriptors of many threads, in python3", `python3 - <<'EOF'
import os, threading
a, b = [os.open("/tmp/" + n, os.O_RDWR | os.O_CREAT) for n in "ab"]
os.write(a, b"aaaa"); os.write(b, b"bbbb"); print(os.pread(a, 4, 0), os.pread(b, 4, 0))
os.dup2(b, a); print(os.pread(a, 4, 0)); os.close(b); c = os.open("/tmp/a", 0); print(c == b, os.pread(c, 4, 0), os.pread(os.dup(c), 4, 0))
os.close(c); os.closerange(a, a + 1)
for fd in c, a:
    try: os.pread(fd, 4, 0)
    except OSError as error: print(error)
wrong = []
def work(n):
    for i in range(60):
        name = b"/tmp/%d-%d" % (n, i % 7); f = os.open(name, os.O_RDWR | os.O_CREAT); os.pwrite(f, name, 0); g = os.dup(f)
        wrong.extend(fd for fd in (f, g) if os.pread(fd, 100, 0) != name)
        os.close(f); wrong.extend([] if os.pread(g, 100, 0) == name else [g]); os.close(g)
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(wrong, os.spawnlp(os.P_WAIT, "sh", "sh", "-c", "exec 5< /tmp/a; read x <&5; exec 5< /tmp/b; read y <&5; exec 5<&-; echo $x $y; cat <&5 2> /dev/null || echo closed"))
EOF`],
    ["gcc and make", "cd /tmp; printf '#include <stdio.h>\\n#include \"n.h\"\\nint main(void) { printf(\"%%d\\\\n\", N); return 0; }\\n' > a.c; echo '#define N 42' > n.h; printf 'all: a b\\na: a.c n.h\\n\\tcc -O1 -o a a.c\\nb: a.c\\n\\tcc -g -o b a.c\\n' > Makefile; make -s -j2 && ./a && ./b; file a 2>/dev/null | grep -c ELF; objdump -d a | grep -c main"],
    ["tar and git", "cd /tmp; mkdir d; seq 100 > d/a; tar cf - d | tar tvf - | wc -l; tar czf d.tgz d; rm -r d; tar xzf d.tgz; wc -l d/a; export GIT_CONFIG_GLOBAL=/dev/null; git init -q r; cd r; cp ../d/a .; git add a; git -c user.name=n -c user.email=e commit -qm one; echo x >> a; git diff --stat | tail -1; git -c user.name=n -c user.email=e commit -qam two; git log --format=%s; git fsck 2>&1"],
  ])("%s", async (_name, script) => {
    const { native, sandbox } = await runBoth({ args: bash(script), edit: strictly, timeout: 100 });
    expect(native.stdout.length).toBeGreaterThan(5);
    expect(sandbox).toEqual(native);
  });
});
