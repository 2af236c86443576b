/** Forks from a parent whose heap grows by new pages all the time, as V8 marks them MADV_DONTFORK. Argument: number of forks. */
import process from "node:process";
import { fork } from "../../../../linux/fork.unsafe.ts";
import { waitPid } from "../../../../linux/process.ts";

const kept: unknown[] = [];
const failures: string[] = [];

for (let round = 0; round < Number(process.argv[2]); round++) {
  kept.push(Array.from({ length: 3000 + (round % 97) }, () => round));
  if (kept.length > 400) kept.length = 0;
  const pid = fork(() => {
    let length = 0;
    for (let i = 0; i < 300; i++) length += JSON.stringify({ i, pair: [i, i] }).length;
    return length > 0 ? 0 : 1;
  });
  const status = waitPid(pid)?.status;
  if (status?.kind !== "exited" || status.code !== 0) failures.push(`${round}: ${JSON.stringify(status)}`);
}
console.log(JSON.stringify({ failures }));
