import * as fc from "fast-check";
import { simulator } from "seccomp-bpf-ts";
import { describe, expect, test } from "vitest";
import { countsOf } from "./describe.ts";
import { compilePolicy } from "./filter.ts";
import { balanced, handlersOf, strict } from "./policy.ts";
import { errnos, outcomesOf } from "./row.ts";
import type { Outcome } from "./row.ts";
import { satisfying, tableSays } from "./test-table.ts";
import { strictlyTrapped } from "./trapped.ts";

/** What issue and documentation promise. */
const MOST_NATIVE = 60;

const word = fc.oneof(fc.bigInt(0n, 0xffff_ffff_ffff_ffffn), fc.bigInt(0n, 300n));
const noise = fc.array(word, { minLength: 6, maxLength: 6 });

const anyCall = fc.constantFrom(...strict.rows).chain((row) => {
  const alternatives = row.cases.flatMap(({ anyOf }) => anyOf);
  const args = alternatives.length === 0 ? noise : fc.oneof(noise, fc.tuple(fc.constantFrom(...alternatives), noise).map(([checks, bits]) => satisfying(checks, bits)));
  return fc.tuple(fc.constant(row), args);
});

function verdict(outcome: Outcome): { action: string; data?: number } {
  if (outcome.kind === "denied") return { action: "errno", data: errnos[outcome.errno] };
  return { action: outcome.kind === "native" ? "allow" : "notify" };
}

const kinds = (name: string) => new Set(strict.rows.filter((row) => row.name === name).flatMap(outcomesOf).map(({ kind }) => kind));

describe("the strict policy", () => {
  test("leaves few calls to the kernel", () => expect(countsOf(strict).native).toBeLessThanOrEqual(MOST_NATIVE));

  test("has a row for every call, with a reason", () => {
    expect(strict.rows.map(({ nr }) => nr)).toEqual(balanced.rows.map(({ nr }) => nr));
    for (const { name, reason } of strict.rows) expect(reason.length, name).toBeGreaterThan(10);
  });

  test("traps exactly what the sentry has a handler for", () => expect([...handlersOf(strict)].sort()).toEqual([...strictlyTrapped].sort()));

  test("lets nothing be native that balanced refuses, whatever the arguments", () => {
    const refused = new Map(balanced.rows.map((row) => [row.name, row]));
    fc.assert(
      fc.property(anyCall, ([row, args]) => {
        const other = refused.get(row.name);
        if (other !== undefined && tableSays(other, args).kind === "denied") expect([row.name, args, tableSays(row, args).kind]).not.toEqual([row.name, args, "native"]);
      }),
      { numRuns: 3000 },
    );
  });

  test("leaves no path and no data to the kernel", () => {
    for (const name of ["read", "write", "open", "openat", "openat2", "stat", "unlink", "rename", "pipe", "poll", "ioctl", "getdents64"]) expect([name, kinds(name).has("native")]).toEqual([name, false]);
  });

  test("has a filter that does what the table says, whatever the arguments", () => {
    const run = simulator(compilePolicy(strict));
    fc.assert(
      fc.property(anyCall, ([row, args]) => {
        expect([row.name, args, run({ arch: "x86_64", nr: row.nr, args })]).toMatchObject([row.name, args, verdict(tableSays(row, args))]);
      }),
      { numRuns: 3000 },
    );
  });
});
