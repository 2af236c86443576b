/** One sandbox from its options to its exit code. */
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { randomBytes } from "node:crypto";
import process from "node:process";
import type { Fd } from "../../linux/fd.ts";
import { getWindowSize, isTerminal } from "../../linux/tty.ts";
import type { Globals } from "../cli.ts";
import { createContainer, type Composed } from "../container/create.ts";
import { destroyContainer } from "../container/delete.ts";
import { catchSignals, openRelay, supervise, type Relay } from "../container/foreground.ts";
import { startContainer } from "../container/start.ts";
import { Container } from "../container/store.ts";
import type { Mount } from "../spec/config.ts";
import { endWithRuntime, superviseProgram } from "./first-process.ts";
import { planHostRoot } from "./host-plan.ts";
import { buildHostRoot } from "./host-root.ts";
import { chooseIdentity, freeRange, type Identity } from "./identity.ts";
import { loanMount, openLoan, type Loan } from "./lend.ts";
import { readMountTable } from "./mount-table.ts";
import type { DoOptions } from "./options.ts";
import { composeSpec } from "./spec.ts";
import { superviseWithin } from "./time-limit.ts";

/** Annotation with the number of the id range. */
const RANGE = "tssandbox.do.id-range";

/** @returns the exit code of the program. @throws what kept it from running. */
export async function runSandbox(globals: Globals, options: DoOptions): Promise<number> {
  const root = stateRoot(globals);
  const range = freeRange(new Set(Container.list(root).flatMap(({ record }) => (record.annotations[RANGE] === undefined ? [] : [Number(record.annotations[RANGE])]))));
  const identity = chooseIdentity(options.user, range);
  const rootless = globals.rootless || !identity.ownRange;
  const composed = compose(options, identity, globals, range);
  let relay: Relay | undefined;
  using signals = catchSignals();
  const container = createContainer({
    root,
    id: `do-${process.pid}-${randomBytes(4).toString("hex")}`,
    bundle: root,
    composed,
    systemdCgroup: globals.systemdCgroup,
    rootless,
    console: (terminal) => (terminal ? (relay = openRelay()).target : undefined),
    pidFile: undefined,
    preserveFds: 0,
    noPivot: false,
    newKeyring: true,
    log: globals.log,
  });
  const terminal = relay?.attach();
  try {
    startContainer(container);
    globals.log.flush();
    return await superviseWithin(options.timeoutMs, container.record.pid, () => supervise(container.record.pid, signals, terminal));
  } finally {
    terminal?.restore();
    destroyContainer(container, globals.log);
  }
}

function compose(options: DoOptions, identity: Identity, globals: Globals, range: number): Composed {
  const interactive = isTerminal(0) && isTerminal(1);
  const home = userInfo().homedir;
  const plan = planHostRoot({ mounts: readMountTable(), lent: options.loans.map(({ destination }) => destination), home, callerHome: home, foreign: identity.ownRange });
  const loans = options.loans.map((loan) => [loanMount(loan), loan] as const);
  const spec = composeSpec({
    args: options.args,
    env: [`HOME=${home}`, ...options.env],
    cwd: options.cwd,
    hostname: options.hostname,
    identity,
    network: options.network,
    limits: options.limits,
    cgroup: identity.ownRange,
    terminal: interactive ? getWindowSize(0) : undefined,
    loans: loans.map(([mount]) => mount),
    masked: plan.masked,
    annotations: identity.ownRange ? { [RANGE]: String(range) } : {},
  });
  return {
    spec,
    bindSources: identity.ownRange ? openLoans(loans, identity, globals) : new Map(),
    embedded: {
      buildRoot: (at) => buildHostRoot(plan, identity.user, at),
      prepared: endWithRuntime,
      run: (program) => superviseProgram(program, interactive),
    },
  };
}

/** Opened with root's rights; an ordinary user's are opened in the sandbox's own namespaces. */
function openLoans(loans: readonly (readonly [Mount, Loan])[], identity: Identity, globals: Globals): Map<Mount, Fd> {
  return new Map(loans.map(([mount, loan]) => [mount, openLoan(loan, identity, (message) => globals.log.warn(message))]));
}

/** Without a runtime directory of his own an ordinary user's state is in the temporary directory, in one that only he can write to. */
function stateRoot({ root, rootless }: Globals): string {
  if (!rootless || process.env["XDG_RUNTIME_DIR"] || root !== "/run/tssandbox") return root;
  const { uid } = userInfo();
  const directory = `${tmpdir()}/tssandbox-${uid}`;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const info = lstatSync(directory);
  if (!info.isDirectory() || info.uid !== uid) throw new Error(`${directory} belongs to somebody else; set XDG_RUNTIME_DIR or give --root`);
  chmodSync(directory, 0o700);
  return directory;
}
