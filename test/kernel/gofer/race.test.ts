/** Nobody gets out of a volume by swapping directories and links while somebody else walks through them, in the guest or on the host. */
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { removeWorkDir } from "../../support/paths.ts";
import { freshDirectory, guestFile, runOnMount, type Lending } from "./mounted.ts";

afterAll(removeWorkDir);

const SECRET = "nobody may read this";

function plant(): string {
  const base = freshDirectory();
  for (const path of ["lent", "lent/d", "lent/deep", "lent/deep/d", "secret"]) mkdirSync(join(base, path));
  for (const path of ["lent/d/file", "lent/deep/d/file", "lent/file"]) writeFileSync(join(base, path), path);
  for (const name of ["file", "unseen"]) writeFileSync(join(base, "secret", name), SECRET);
  symlinkSync("../secret", join(base, "lent/out"));
  symlinkSync("../secret/file", join(base, "lent/link"));
  return base;
}

/** In the guest's own tree `..` of the root leads nowhere: what is found of the secret has come through the gofer. */
function race(base: string, lending: Lending): string {
  copyFileSync(guestFile("race"), join(base, "lent/race"));
  const at = freshDirectory();
  const limits = { nodeFds: 4, dataFds: 4, nodes: 1000 };
  const done = runOnMount({ lend: [{ from: join(base, "lent"), at, ...lending }], chroot: at, cwd: "/", command: ["/race", "2"], limits });
  expect(done).toMatchObject({ code: 0, stderr: "" });
  return done.stdout;
}

function secretIsWhole(base: string): void {
  expect(readdirSync(base).sort()).toEqual(["lent", "secret"]);
  expect(readdirSync(join(base, "secret")).sort()).toEqual(["file", "unseen"]);
  expect(readFileSync(join(base, "secret/file"), "utf8")).toBe(SECRET);
}

test.each([["exclusive"], ["shared"]] as const)("within the guest, %s", (cache) => {
  const base = plant();
  const seen = race(base, { cache });
  expect(seen).not.toContain("LEAK");
  expect(seen).toContain("opened 1");
  secretIsWhole(base);
});

test("with somebody on the host who swaps as well", () => {
  const base = plant();
  const swap = `while :; do mv -T d x; mv -T out d; mv -T x out; mv -T d x; mv -T out d; mv -T x out; done`;
  const attacker = spawn("/bin/sh", ["-c", swap], { cwd: join(base, "lent"), stdio: "ignore" });
  try {
    const seen = race(base, { cache: "shared" });
    expect(seen).not.toContain("LEAK");
    expect(seen).toContain("opened 1");
  } finally {
    attacker.kill("SIGKILL");
  }
  secretIsWhole(base);
});
