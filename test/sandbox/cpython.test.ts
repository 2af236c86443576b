/** CPython's own tests, of Debian's package: those that pass under runc pass in a sandbox, but for what is listed in cpython-differences.ts. */
import { afterAll, expect, test } from "vitest";
import { removeWorkDir } from "../support/paths.ts";
import type { Spec } from "../support/spec.ts";
import { DIFFERENCES, LEFT_OUT, STRICT_DIFFERENCES, STRICT_LEFT_OUT, type Difference, type Ending } from "./cpython-differences.ts";
import { bash, PLATFORM, runInSandbox, runUnderRunc, type Command } from "./support.ts";

afterAll(removeWorkDir);

/** The slow ones first, and test_asyncio in its parts, so that all jobs are busy to the end. */
const ALL_MODULES =
  "test_multiprocessing_fork test_signal test_subprocess test_socket test_asyncio.test_tasks test_asyncio.test_events test_asyncio.test_ssl test_asyncio.test_sslproto " +
  "test_asyncio.test_sock_lowlevel test_asyncio.test_streams test_asyncio.test_subprocess test_asyncio.test_unix_events test_asyncio.test_selector_events test_asyncio.test_sendfile " +
  "test_asyncio.test_server test_asyncio.test_base_events test_asyncio.test_runners test_asyncio.test_threads test_asyncio.test_timeouts test_asyncio.test_pep492 test_asyncio.test_buffered_proto " +
  "test_threading test_zipfile test_tarfile test_poll test_os test_posix test_select test_epoll test_fcntl test_mmap test_shutil test_tempfile test_pathlib test_glob test_pty " +
  "test_resource test_pwd test_grp test_time";

/** All of them, or those that TSSANDBOX_MODULES names, separated by blanks. */
const MODULES = process.env["TSSANDBOX_MODULES"] ?? ALL_MODULES;

/** Under the policy `strict`, those that tell most of it. */
const STRICT_MODULES =
  process.env["TSSANDBOX_MODULES"] ??
  "test_signal test_socket test_subprocess test_os test_posix test_select test_epoll test_poll test_fcntl test_mmap test_shutil test_tempfile test_glob test_pty test_resource test_pwd test_grp";

const differencesOf = (modules: string, list: readonly Difference[]) => list.filter(({ tests }) => modules.split(" ").includes(tests.split(".")[0] ?? ""));

type Policy = "balanced" | "strict";

/** Standard output is the report alone. @param only of the modules' tests; all but those left out, unless given */
function suite(modules: string, only: readonly string[] = [], policy: Policy = "balanced"): Command {
  const chosen = only.length > 0 ? only.map((name) => `-m '${name}'`) : [...LEFT_OUT, ...(policy === "strict" ? STRICT_LEFT_OUT : [])].flatMap(({ tests }) => tests).map((pattern) => `-i '${pattern}'`);
  return { args: bash(`cd /tmp && python3 -m test -j4 --timeout 400 ${chosen.join(" ")} --junit-xml /tmp/report.xml ${modules} >&2; cat /tmp/report.xml`), timeout: 500, edit: under(policy) };
}

const under = (policy: Policy) => (spec: Spec) => {
  Object.assign(spec, { annotations: { "dev.tssandbox.policy": policy } });
};

type Endings = ReadonlyMap<string, Ending>;

function endings({ stdout }: { readonly stdout: string }): Endings {
  const cases = stdout.matchAll(/<testcase name="([^"]*)"[^>]*?(?:\/>|>([^]*?)<\/testcase>)/g);
  return new Map([...cases].map(([, name = "", content = ""]) => [name.replace(/^test\./, ""), endingOf(content)]));
}

function endingOf(content: string): Ending {
  if (/<(failure|error)/.test(content)) return "failed";
  return content.includes("<skipped") ? "skipped" : "passed";
}

interface Found {
  readonly test: string;
  readonly runc: Ending | undefined;
  readonly sandbox: Ending | undefined;
}

function compare(runc: Endings, sandbox: Endings): Found[] {
  const names = [...new Set([...runc.keys(), ...sandbox.keys()])];
  return names.map((name) => ({ test: name, runc: runc.get(name), sandbox: sandbox.get(name) })).filter((found) => found.runc !== found.sandbox);
}

const explains = (found: Found) => (difference: Difference) => found.test.startsWith(difference.tests) && found.runc === difference.runc && found.sandbox === difference.sandbox;

const isLeftOut = (name: string) => STRICT_LEFT_OUT.some(({ tests }) => tests.some((one) => name.endsWith(`.${one}`)));

/** What runc says of all modules, which both policies are compared with. */
let natively: Promise<Endings> | undefined;

const underRunc = (): Promise<Endings> => (natively ??= runUnderRunc(suite(MODULES)).then(endings));

test(`the same tests pass (${PLATFORM})`, async () => {
  // Side by side: they wait more than they work.
  const [runc, sandbox] = await Promise.all([underRunc(), runInSandbox(suite(MODULES)).then(endings)]);
  expect(runc.size).toBeGreaterThan(MODULES === ALL_MODULES ? 4000 : 500);
  await expectAlike(runc, sandbox, MODULES, DIFFERENCES, "balanced");
}, 1_200_000);

test(`the same tests pass (${PLATFORM}, strict)`, async () => {
  const [all, sandbox] = await Promise.all([underRunc(), runInSandbox(suite(STRICT_MODULES, [], "strict")).then(endings)]);
  const runc = new Map([...all].filter(([name]) => STRICT_MODULES.split(" ").some((module) => name.startsWith(`${module}.`)) && !isLeftOut(name)));
  expect(runc.size).toBeGreaterThan(MODULES === ALL_MODULES ? 500 : 50);
  await expectAlike(runc, sandbox, STRICT_MODULES, [...DIFFERENCES, ...STRICT_DIFFERENCES], "strict");
}, 1_200_000);

async function expectAlike(runc: Endings, sandbox: Endings, modules: string, list: readonly Difference[], policy: Policy): Promise<void> {
  const known = differencesOf(modules, list);
  const found = compare(runc, sandbox);
  const unexplained = found.filter((each) => !known.some(explains(each)));
  expect(await stillDifferent(unexplained, modules, policy)).toEqual([]);
  // An entry too many or too wide is as wrong as one too few.
  expect(known.map((difference) => ({ ...difference, count: found.filter((each) => explains(each)(difference)).length }))).toEqual(known);
}

/** Many of these tests measure time, on a machine that has other work: what is the same once, of `tries` more, does not count. */
async function stillDifferent(found: Found[], modules: string, policy: Policy, tries = 2): Promise<Found[]> {
  if (found.length === 0 || tries === 0) return found;
  const only = found.map(({ test: name }) => `test.${name}`);
  const again = compare(endings(await runUnderRunc(suite(modules, only))), endings(await runInSandbox(suite(modules, only, policy))));
  return await stillDifferent(again, modules, policy, tries - 1);
}
