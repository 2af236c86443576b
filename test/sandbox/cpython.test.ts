/** CPython's own tests, of Debian's package: those that pass under runc pass in a sandbox, but for what is listed in cpython-differences.ts. */
import { afterAll, expect, test } from "vitest";
import { removeWorkDir } from "../support/paths.ts";
import { DIFFERENCES, LEFT_OUT, type Difference, type Ending } from "./cpython-differences.ts";
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
const known = DIFFERENCES.filter(({ tests }) => MODULES.split(" ").includes(tests.split(".")[0] ?? ""));

/** Standard output is the report alone. @param only of the modules' tests; all but those left out, unless given */
function suite(only: readonly string[] = []): Command {
  const chosen = only.length > 0 ? only.map((name) => `-m '${name}'`) : LEFT_OUT.flatMap(({ tests }) => tests).map((pattern) => `-i '${pattern}'`);
  return { args: bash(`cd /tmp && python3 -m test -j4 --timeout 400 ${chosen.join(" ")} --junit-xml /tmp/report.xml ${MODULES} >&2; cat /tmp/report.xml`), timeout: 500 };
}

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

test(`the same tests pass (${PLATFORM})`, async () => {
  const [runc, sandbox] = await runAll();
  expect(runc.size).toBeGreaterThan(MODULES === ALL_MODULES ? 4000 : 500);
  const found = compare(runc, sandbox);
  const unexplained = found.filter((each) => !known.some(explains(each)));
  expect(await stillDifferent(unexplained)).toEqual([]);
  // An entry too many or too wide is as wrong as one too few.
  expect(known.map((difference) => ({ ...difference, count: found.filter((each) => explains(each)(difference)).length }))).toEqual(known);
}, 1_200_000);

/** Side by side: they wait more than they work. */
async function runAll(only: readonly string[] = []): Promise<[Endings, Endings]> {
  const [runc, sandbox] = await Promise.all([runUnderRunc(suite(only)), runInSandbox(suite(only))]);
  return [endings(runc), endings(sandbox)];
}

/** Many of these tests measure time, on a machine that has other work: what differs only once does not count. */
async function stillDifferent(found: readonly Found[]): Promise<Found[]> {
  return found.length === 0 ? [] : compare(...(await runAll(found.map(({ test: name }) => `test.${name}`))));
}
