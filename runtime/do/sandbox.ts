/** One sandbox from its options to its exit code. */
import { chmodSync, lstatSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { effectiveUid } from "../../linux/credentials.ts";
import type { Fd } from "../../linux/fd.ts";
import { pidfdOpen } from "../../linux/process.ts";
import { randomBytes } from "../../linux/random.ts";
import { getWindowSize, isTerminal } from "../../linux/tty.ts";
import type { Globals } from "../globals.ts";
import type { Embedded } from "../init/launch.ts";
import { decideMode, type Mode } from "../sandbox/mode.ts";
import { createContainer } from "../container/create.ts";
import type { Composed } from "../container/options.ts";
import { destroyContainer } from "../container/delete.ts";
import { catchSignals, killAtSecondRequest, openRelay, reapSandbox, supervise, type Relay, type Terminal } from "../container/foreground.ts";
import { startContainer } from "../container/start.ts";
import { Container } from "../container/store.ts";
import type { Mount } from "../spec/config.ts";
import { endWithNewParent, endWithRuntime, superviseProgram } from "./first-process.ts";
import { freeRange } from "./identity.ts";
import { lentFiles } from "./lent-files.ts";
import { loanMount, openLoan } from "./lend.ts";
import type { DoOptions } from "./options.ts";
import { hostRoot, imageRoot, type RootContext, type SandboxRoot } from "./root.ts";
import { composeSpec } from "./spec.ts";
import { openUserNetwork } from "./user-network.ts";
import { EGRESS } from "../network/egress-rules.ts";
import { deniedIn } from "../network/end.ts";
import { removeStale, sandboxId } from "./stale.ts";
import { givePipes } from "./streams.ts";
import { superviseWithin } from "./time-limit.ts";

/** Annotation with the number of the id range. */
const RANGE = "tssandbox.do.id-range";

/** @returns the exit code of the program. @throws what kept it from running. */
export async function runSandbox(globals: Globals, options: DoOptions): Promise<number> {
  const mode = decideMode(globals.mode, globals.config, {}, globals.log);
  const root = stateRoot(globals);
  const id = sandboxId(randomBytes(4).toString("hex"));
  removeStale(root, temporaryRoot(), globals.log);
  const work = join(temporaryRoot(), `tssandbox-${id}`);
  try {
    const context = { mode, range: freeRange(usedRanges(root)), workDirectory: () => makeWorkDirectory(work), warn: (message: string) => globals.log.warn(message) };
    const sandbox = await prepareRoot(options, context);
    return await runIn(sandbox, { globals, mode, root, id, options, range: context.range });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Unpacking may take long: a signal ends it, and what it has made is removed. */
async function prepareRoot(options: DoOptions, context: Omit<RootContext, "abort">): Promise<SandboxRoot> {
  const interrupted = new AbortController();
  const abort = (signal: NodeJS.Signals) => interrupted.abort(new Error(`interrupted by ${signal}`));
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, abort);
  try {
    const whole = { ...context, abort: interrupted.signal };
    return options.rootfs === undefined ? hostRoot(options, whole) : await imageRoot(options.rootfs, options, whole);
  } finally {
    for (const signal of signals) process.off(signal, abort);
  }
}

interface Session {
  readonly globals: Globals;
  readonly mode: Mode;
  /** Of the state. */
  readonly root: string;
  readonly id: string;
  readonly options: DoOptions;
  readonly range: number;
}

async function runIn(sandbox: SandboxRoot, session: Session): Promise<number> {
  const { globals, mode, root, id, options } = session;
  const interactive = isTerminal(0) && isTerminal(1);
  let relay: Relay | undefined;
  using signals = catchSignals(killAtSecondRequest());
  if (options.egress !== undefined && mode !== "sentry") throw new Error("--allow-net needs sentry mode");
  using networks = new DisposableStack();
  const network = options.egress === undefined ? undefined : networks.use(openUserNetwork());
  givePipes(sandbox.identity);
  const container = createContainer({
    root,
    id,
    bundle: root,
    composed: compose(sandbox, session, interactive, network?.path),
    mode,
    config: globals.config,
    policy: globals.policy,
    platform: globals.platform,
    strace: globals.strace,
    systemdCgroup: globals.systemdCgroup,
    rootless: globals.rootless || sandbox.identity.rangeStart === undefined,
    console: (terminal) => (terminal ? (relay = openRelay()).target : undefined),
    pidFile: undefined,
    preserveFds: 0,
    noPivot: false,
    newKeyring: true,
    log: globals.log,
  });
  let terminal: Terminal | undefined;
  try {
    terminal = relay?.attach();
    startContainer(container);
    globals.log.flush();
    return await superviseWithin(options.timeoutMs, container.record.pid, () => supervise(container.record.pid, signals, terminal));
  } finally {
    terminal?.restore();
    networks.dispose();
    reapSandbox(container);
    tellDenied(container, globals);
    destroyContainer(container, globals.log);
  }
}

/** The log goes with the container; who has been refused something wants to know what. */
function tellDenied({ directory }: Container, { log }: Globals): void {
  const denied = deniedIn(directory);
  const [first, rest] = [denied.slice(0, MOST_TOLD), denied.length - MOST_TOLD];
  if (denied.length === 0) return;
  log.warn(`--allow-net has refused: ${first.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`);
  log.flush();
}

const MOST_TOLD = 10;

function compose(sandbox: SandboxRoot, { globals, mode, options, range }: Session, interactive: boolean, networkPath: string | undefined): Composed {
  const { identity } = sandbox;
  const own = identity.rangeStart !== undefined;
  const loans = options.loans.map((loan) => [loanMount(loan), loan] as const);
  const spec = composeSpec({
    args: sandbox.args,
    env: sandbox.env,
    cwd: sandbox.cwd,
    hostname: options.hostname,
    identity,
    network: options.network,
    networkPath,
    limits: options.limits,
    cgroup: own,
    terminal: interactive ? getWindowSize(0) : undefined,
    loans: loans.map(([mount]) => mount),
    masked: sandbox.masked,
    annotations: { ...(own && { [RANGE]: String(range) }), ...(options.egress !== undefined && { [EGRESS]: options.egress }) },
  });
  const sentry = mode === "sentry";
  // Opened with root's rights; an ordinary user's are opened in the sandbox's own namespaces.
  const bindSources = own && !sentry ? new Map<Mount, Fd>(loans.map(([mount, loan]) => [mount, openLoan(loan, identity, (message) => globals.log.warn(message))])) : new Map<Mount, Fd>();
  return {
    spec,
    bindSources,
    files: sentry ? lentFiles(sandbox, loans) : undefined,
    embedded: { buildRoot: sandbox.build, ...withItsEnd(sentry && effectiveUid() !== 0, (program) => superviseProgram(program, interactive)) },
  };
}

/** @param adopted whether init becomes this process's child only when it has been made (runtime/sandbox/within.ts). */
function withItsEnd(adopted: boolean, run: Embedded["run"]): Pick<Embedded, "prepared" | "runtime" | "run"> {
  if (!adopted) return { prepared: endWithRuntime, runtime: undefined, run };
  const runtime = pidfdOpen(process.pid);
  return {
    prepared: () => {},
    runtime,
    run: (program) => {
      endWithNewParent(runtime);
      return run(program);
    },
  };
}

function usedRanges(root: string): Set<number> {
  const annotations = Container.list(root).map(({ record }) => record.annotations[RANGE]);
  return new Set(annotations.filter((range) => range !== undefined).map(Number));
}

/** For unpacked images: on disk, unlike /tmp in many places. */
const temporaryRoot = (): string => process.env["TMPDIR"] || "/var/tmp";

function makeWorkDirectory(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}

/** Without a runtime directory of his own an ordinary user's state is in the temporary directory, in one that only he can write to. */
function stateRoot({ root, rootless }: Globals): string {
  if (!rootless || process.env["XDG_RUNTIME_DIR"] || root !== "/run/tssandbox") return root;
  const uid = effectiveUid();
  const directory = `${tmpdir()}/tssandbox-${uid}`;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const info = lstatSync(directory);
  if (!info.isDirectory() || info.uid !== uid) throw new Error(`${directory} belongs to somebody else; set XDG_RUNTIME_DIR or give --root`);
  chmodSync(directory, 0o700);
  return directory;
}
