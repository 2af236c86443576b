/** Volumes under --policy strict: what the sentry has its runners ask (sentry/strict/volumes/errands.ts) has the outcome that it has elsewhere. */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { CommandOptions } from "../../support/container.ts";
import { statusField } from "../../support/host.ts";
import { make } from "../errors/own.ts";

const under = (policy: string): CommandOptions => ({ global: ["--mode", "sentry", "--policy", policy], timeout: 100_000 });

/** By absolute names, by names from the working directory, below descriptors, by way of a link, and from one volume to another. */
const SCRIPT = `
cd /one && umask 022
echo a > a; echo b >> a; cat a /one/../one/./a
mkdir -p d/e && mv a d/e/f && ln d/e/f d/g && ln -s ../one/d /two/link && cat /two/link/g && stat -c '%a %h %s' d/g
touch -d '2001-02-03 04:05:06' d/g; stat -c %Y d/e/f
chmod 640 d/g; ls -l d | grep -c -- -rw-r----- ; ls -a . d
dd if=/dev/zero bs=700000 count=2 2>/dev/null | tr '\\0' x > big; wc -c < big; md5sum < big; md5sum big
cat big big > /two/big; cmp /two/big big; truncate -s 10 big; wc -c big; tail -c 3 big; echo
mv d/g /two/g; cat /two/g; rm -r d; ls; rmdir none; cat none/x; cd none
mkfifo p; for i in 1 2 3 4; do (echo through > p) & cat p; wait; done; rm p; cat p
exec 3<> /one/kept; echo kept >&3; rm /one/kept; cat /proc/self/fd/3; exec 3>&-
i=0; while [ $i -lt 20 ]; do echo $i > n$i & i=$((i+1)); done; wait; cat n* | sort -n | tr '\\n' ' '; find . -name 'n1*' | wc -l
id -u; df . | wc -l; sync; readlink /two/link
exit 0`;

async function outcome(policy: string) {
  let [one, two] = ["", ""];
  await using c = make({ args: ["sh", "-c", SCRIPT], edit: (spec, bundle) => {
    [one, two] = [bundle.path("one"), bundle.path("two")];
    for (const [source, destination] of [[one, "/one"], [two, "/two"]] as const) {
      mkdirSync(source);
      mkdirSync(bundle.rootfs + destination);
      spec.mounts.push({ destination, source, type: "bind", options: ["bind"] });
    }
    writeFileSync(`${one}/host`, "host");
  } });
  const { code, stdout, stderr } = await c.run(under(policy));
  await c.expectNothingLeft();
  return { code, stdout, stderr, one: readdirSync(one).sort(), host: readFileSync(`${one}/host`, "utf8"), g: readFileSync(`${two}/g`, "utf8") };
}

test("everything on volumes ends as it does under balanced", async () => {
  const [strict, balanced] = [await outcome("strict"), await outcome("balanced")];
  expect(strict).toEqual(balanced);
  expect(strict).toMatchObject({ code: 0, g: "a\nb\n", stdout: expect.stringContaining("through\nkept\n") as string });
}, 200_000);

test("who asks them for the sentry has the sentry's confinement", async () => {
  await using c = make({ args: ["sleep", "100"], edit: (spec, bundle) => {
    mkdirSync(bundle.path("one"));
    mkdirSync(`${bundle.rootfs}/one`);
    spec.mounts.push({ destination: "/one", source: bundle.path("one"), type: "bind", options: ["bind"] });
  } });
  await c.mustBegin(under("strict"));
  // The first call that traps takes sentry and runner into the guest's user namespace.
  await c.mustExec(["ls", "/one"]);
  const { sentry } = JSON.parse(readFileSync(`${c.stateRoot}/${c.id}/sandbox.json`, "utf8")) as { sentry: { pid: number } };
  const children = readFileSync(`/proc/${sentry.pid}/task/${sentry.pid}/children`, "latin1").trim().split(" ").map(Number);
  const runners = children.filter((pid) => readlinkSync(`/proc/${pid}/ns/pid`) === readlinkSync(`/proc/${sentry.pid}/ns/pid`) && isRunner(pid, sentry.pid));
  expect(runners).toHaveLength(1);
  const [runner = 0] = runners;
  for (const field of ["Uid", "Gid", "Seccomp", "Seccomp_filters", "NoNewPrivs", "CapBnd"]) expect([field, statusField(runner, field)]).toEqual([field, statusField(sentry.pid, field)]);
  for (const place of ["root", "ns/user", "ns/mnt"]) expect([place, readlinkSync(`/proc/${runner}/${place}`)]).toEqual([place, readlinkSync(`/proc/${sentry.pid}/${place}`)]);
});

/** Gofers have ids of their own. */
const isRunner = (pid: number, sentry: number): boolean => statusField(pid, "Uid")?.split("\t")[0] === statusField(sentry, "Uid")?.split("\t")[0];
