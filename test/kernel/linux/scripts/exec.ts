import { O_DIRECTORY, O_PATH, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } from "../../../../linux/abi/fcntl.ts";
import { closeOnExecFrom, duplicateOnto, open, pipe, readAll, setCloseOnExec, writeAll } from "../../../../linux/file.ts";
import { createExecStub, prepareExec, type ExecLabels } from "../../../../linux/exec.unsafe.ts";
import { fork } from "../../../../linux/fork.unsafe.ts";
import { shellCode, waitPid } from "../../../../linux/process.ts";
import { defineCases, refusal } from "../../../support/forked.ts";

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a program writes and ends with, run through the stub in a child. */
function execute(path: string, argv: readonly string[], env: readonly string[], labels?: ExecLabels): Outcome {
  const stub = createExecStub({ labels });
  const [outReader, outWriter] = pipe();
  const [errReader, errWriter] = pipe();
  const pid = fork(() => {
    duplicateOnto(outWriter, 1);
    duplicateOnto(errWriter, 2);
    closeOnExecFrom(3);
    if (labels !== undefined) setCloseOnExec(labels.directory, false);
    prepareExec(stub, path, argv, env)();
    return 1;
  });
  outWriter.close();
  errWriter.close();
  const read = (fd: typeof outReader) => Buffer.from(readAll(fd, 64 << 20)).toString();
  const [stdout, stderr] = [read(outReader), read(errReader)];
  const ended = waitPid(pid);
  return { code: ended === undefined ? -1 : shellCode(ended.status), stdout, stderr };
}

defineCases({
  "run": (path = "", argv = "[]", env = "[]") => execute(path, JSON.parse(argv) as string[], JSON.parse(env) as string[]),
  "labels": (directory = "", writes = "[]", program = "") => {
    const labels = { directory: open(directory, O_PATH | O_DIRECTORY).number, writes: JSON.parse(writes) as ExecLabels["writes"] };
    return execute(program, [program], [], labels);
  },
  "big": (path = "") => {
    const argument = "x".repeat(100_000);
    const argv = ["printf", "%s", ...Array.from({ length: 15 }, () => argument)];
    const { code, stdout } = execute(path, argv, ["A=1"]);
    return { code, length: stdout.length };
  },
  "too big": (path = "") => {
    const stub = createExecStub();
    const argument = "x".repeat(100_000);
    return {
      many: refusal(prepareExec(stub, path, Array.from({ length: 100 }, () => argument), [])),
      long: refusal(prepareExec(stub, path, ["x".repeat(200_000)], [])),
      nul: refusal(() => prepareExec(stub, path, ["a\0b"], [])),
    };
  },
  "stub": () => {
    const stub = createExecStub();
    const write = [O_WRONLY, O_RDWR].map((flags) => refusal(() => writeAll(open(stub.procPath, flags), "x")));
    return { write, shrink: refusal(() => open(stub.procPath, O_WRONLY | O_TRUNC)), size: readAll(open(stub.procPath, O_RDONLY)).length };
  },
});
