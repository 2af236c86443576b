import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, describe, test as vitestTest } from "vitest";
import { Container, type ContainerOptions } from "./container.ts";
import { projectRoot, removeWorkDir } from "./paths.ts";
import { SANDBOX_DIFFERENCES } from "./sandbox-differences.ts";

/** A runtime binary that the contract is run against. `version` is the first line of its `--version`, without that word: "runc 1.1.5". */
export type RuntimeUnderTest = { readonly path: string; readonly version: string };

type Body = () => void | Promise<void>;
export type TestOptions = {
  /**
   * Other runtimes that are known not to do this: the beginning of their version line, and the reason. There the test must
   * fail (so that the entry goes when the runtime learns it). Our own runtime has no such list.
   */
  readonly cannot?: Readonly<Record<string, string>>;
  /** The same where the outcome is a matter of timing, so that a failure cannot be demanded: there the test is skipped. */
  readonly races?: Readonly<Record<string, string>>;
};
export type ContractTest = (name: string, ...rest: [Body] | [TestOptions, Body]) => void;
export type Contract = {
  readonly runtime: RuntimeUnderTest;
  readonly test: ContractTest;
  readonly make: (options?: ContainerOptions) => Container;
};

afterAll(removeWorkDir);

/** Paths or names from TSSANDBOX_TEST_RUNTIMES, separated by commas; default: the binary of this checkout. */
function runtimesUnderTest(): RuntimeUnderTest[] {
  const names = process.env["TSSANDBOX_TEST_RUNTIMES"]?.split(",") ?? [join(projectRoot, "bin/tssandbox")];
  return names.map((name) => {
    const path = name.includes("/") ? name : execFileSync("which", [name], { encoding: "utf8" }).trim();
    return { path, version: execFileSync(path, ["--version"], { encoding: "utf8" }).split("\n")[0]?.replace(" version ", " ") ?? "" };
  });
}

/** Declares an area of the contract once for each runtime under test. */
export function describeRuntime(area: string, declare: (contract: Contract) => void): void {
  if (process.getuid?.() !== 0) throw new Error("the OCI contract needs root: namespaces, mounts and cgroups are made for real");
  for (const runtime of runtimesUnderTest()) {
    describe(`${area} (${runtime.version})`, () => {
      declare({ runtime, test: contractTest(runtime), make: (options = {}) => new Container(runtime, options) });
    });
  }
}

/** The reason in a list for the runtime's version, if there is one. */
function reasonFor(runtime: RuntimeUnderTest, list: TestOptions["cannot"] = {}): string | undefined {
  return Object.entries(list).find(([version]) => runtime.version.startsWith(version))?.[1];
}

function contractTest(runtime: RuntimeUnderTest): ContractTest {
  return (name, ...rest) => {
    const [options, body] = rest.length === 2 ? rest : [{}, rest[0]];
    const differs = process.env["TSSANDBOX_MODE"] === "sentry" ? SANDBOX_DIFFERENCES[name] : undefined;
    const [cannot, races] = [reasonFor(runtime, options.cannot) ?? differs, reasonFor(runtime, options.races)];
    if (races !== undefined) vitestTest.skip(`${name} [races: ${races}]`, body);
    else if (cannot !== undefined) vitestTest.fails(`${name} [cannot: ${cannot}]`, body);
    else vitestTest(name, body);
  };
}
