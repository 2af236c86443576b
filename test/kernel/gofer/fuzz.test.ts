/** A hostile kernel: what a guest in `vm` mode can send. A longer run: TSSANDBOX_FUZZ_MS=60000, another seed: TSSANDBOX_FUZZ_SEED. */
import { spawnSync } from "node:child_process";
import { chownSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { afterAll, expect, test } from "vitest";
import { nodePath } from "../../support/forked.ts";
import { removeWorkDir } from "../../support/paths.ts";
import { freshDirectory } from "./mounted.ts";

afterAll(removeWorkDir);

const USER = 54_322;
const MS = Number(process.env["TSSANDBOX_FUZZ_MS"] ?? 2000);
const SEED = Number(process.env["TSSANDBOX_FUZZ_SEED"] ?? 1);
const script = join(import.meta.dirname, "scripts", "fuzz.ts");

interface Report {
  readonly messages: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly wrong: readonly string[];
  readonly descriptors: number;
  readonly left: number;
}

function fuzz(policy: string, ownership: string, seed: number): Report {
  const base = freshDirectory();
  chownSync(base, USER, USER);
  const ids = ["--reuid", String(USER), "--regid", String(USER), "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"];
  const done = spawnSync("setpriv", [...ids, nodePath, script, base, String(seed), String(MS), policy, ownership], { encoding: "utf8", timeout: MS + 80_000 });
  expect(done, `seed ${seed}`).toMatchObject({ status: 0, stderr: "" });
  return JSON.parse(done.stdout) as Report;
}

test.each([["shared", "kept"], ["exclusive", "kept"], ["exclusive", "recorded"]])("%s, owners %s", (policy, ownership) => {
  const report = fuzz(policy, ownership, SEED);
  expect(report.wrong, `seed ${SEED}`).toEqual([]);
  expect(report.messages).toBeGreaterThan(MS / 5);
  // It is worth something only if much of it gets through.
  expect(report.outcomes["ok"] ?? 0).toBeGreaterThan(report.messages / 100);
  expect(report.descriptors).toBeLessThan(150);
  expect(report.left).toBeLessThan(40);
}, MS + 100_000);
