/** The numbers of calls that docs/ tell of in words. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { countsOf } from "../../policies/syscalls/describe.ts";
import { strict } from "../../policies/syscalls/policy.ts";
import type { Group } from "../../policies/syscalls/row.ts";
import { sentryCalls } from "../policy.ts";
import { strictSentryCalls } from "./policy.ts";

const text = (path: string) => readFileSync(new URL(`../../docs/${path}`, import.meta.url), "utf8").replaceAll(/\s+/g, " ");
const numberOf = (groups: readonly Group[]) => new Set(groups.flatMap(({ names }) => names.split(" "))).size;
const [balanced, ours] = [numberOf(sentryCalls("notify")), numberOf(strictSentryCalls("notify"))];
const { native, continued, emulated, denied } = countsOf(strict);

test.each([
  ["threat-model.md", `${native} calls are native, ${continued} go on after a trap, ${emulated} are the sentry's, ${denied} are refused`],
  ["threat-model.md", `with ${ours} calls of its own`],
  ["threat-model.md", `| sentry | ${balanced}: `],
  ["decisions/0041-strict-policy.md", `the numbers of descriptors: ${native} calls, each listed`],
  ["decisions/0041-strict-policy.md", `${balanced} calls under \`balanced\`, ${ours} here`],
])("%s: %s", (path, said) => expect(text(path)).toContain(said));
