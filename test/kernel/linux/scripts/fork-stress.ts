/**
 * Forks many times from a busy heap. Each child checks what it inherited, makes and collects garbage, and runs code that is hot already,
 * code that becomes hot in it, and code compiled only there. It exits 0 only where every checksum is right.
 * Arguments: number of forks.
 */
import process from "node:process";
import { fork } from "../../../../linux/fork.unsafe.ts";
import { waitPid } from "../../../../linux/process.ts";

/** Each an object and a string, every fourth in a map: 200,000 things on the heap, and some. */
const OBJECTS = 100_000;
const WRONG = 70;
/** How many live at a time. */
const CHILDREN = 2;

interface Item {
  readonly id: number;
  readonly text: string;
  next: Item | undefined;
}

const collect = (globalThis as { gc?: (options?: { type: "minor" | "major" }) => void }).gc;
if (collect === undefined) throw new Error("start with --expose-gc");

const items: Item[] = [];
const byText = new Map<string, Item>();
for (let id = 0; id < OBJECTS; id++) {
  const item: Item = { id, text: `item ${id}`, next: items.at(-1) };
  items.push(item);
  if (id % 4 === 0) byText.set(item.text, item);
}
const numbers = Float64Array.from({ length: 10_000 }, (_, i) => i / 2);

const stepOf = (round: number) => (round % 64 === 0 ? 1 : 997);

/** Walks a part of the heap that differs from child to child; the whole of it every 64th time. */
function walk(round: number): number {
  const step = stepOf(round);
  let sum = 0;
  for (let i = round % step; i < items.length; i += step) {
    const item = items[i];
    if (item === undefined || item.text.length < 6 || (item.next?.id ?? -1) !== item.id - 1) return Number.NaN;
    sum += item.id;
  }
  return sum;
}

function walked(round: number): number {
  const step = stepOf(round);
  const first = round % step;
  const count = Math.ceil((OBJECTS - first) / step);
  return count * first + (step * count * (count - 1)) / 2;
}

const LARGE = Array.from({ length: 30_000 }, (_, i) => i + 1);

/** Garbage: young objects, strings, maps, a buffer outside the heap; every 32nd time an array in large-object space. */
function allocate(round: number): number {
  const map = new Map<string, number[]>();
  for (let i = 0; i < 300; i++) map.set(`${round}:${i}`, [i, i + 1, i + 2]);
  const large = round % 32 === 0 ? [...LARGE] : LARGE;
  const buffer = Buffer.alloc(4_000, 1);
  let sum = 0;
  for (const [a = 0, , c = 0] of map.values()) sum += a + c;
  return sum + (large.at(-1) ?? 0) + (buffer.at(-1) ?? 0);
}
const ALLOCATED = 299 * 300 + 2 * 300 + 30_000 + 1;

/** Hot before the first fork. */
function hot(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}
const HOT = (10_000 * 9_999) / 4;

/** Called in children only, often enough to be optimised there. */
function becomesHot(n: number): number {
  let state = n;
  for (let i = 0; i < 5_000; i++) state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  return state;
}

/** The same, by exact arithmetic of another kind. */
function becomesHotExpected(n: number): number {
  let state = BigInt(n);
  for (let i = 0; i < 5_000; i++) state = (state * 1_103_515_245n + 12_345n) % 2n ** 32n;
  return Number(state);
}
const LCG = [0, 1, 2, 3].map(becomesHotExpected);

function child(round: number): number {
  if (walk(round) !== walked(round)) return WRONG;
  if (allocate(round) !== ALLOCATED) return WRONG + 1;
  collect?.({ type: round % 128 === 0 ? "major" : "minor" });
  if (hot(numbers) !== HOT) return WRONG + 2;
  if (becomesHot(round % 4) !== LCG[round % 4]) return WRONG + 3;
  // oxlint-disable-next-line no-implied-eval -- code that the parent has never compiled
  const fresh = new Function("n", `let s = ${round}; for (let i = 0; i < 500; i++) s = (s + i * n) % 1000003; return s;`) as (n: number) => number;
  let expected = round;
  for (let i = 0; i < 500; i++) expected = (expected + i * 7) % 1_000_003;
  if (fresh(7) !== expected) return WRONG + 4;
  if (round % 64 === 0 && walk(round) !== walked(round)) return WRONG + 5;
  return byText.get("item 4000")?.id === 4000 ? 0 : WRONG + 6;
}

for (let i = 0; i < 200; i++) hot(numbers);
for (let i = 0; i < 20; i++) allocate(i);
const forks = Number(process.argv[2]);
const failures: string[] = [];
const rounds = new Map<number, number>();

function reap(): void {
  const ended = waitPid(-1);
  if (ended === undefined) throw new Error("no child to wait for");
  const { pid, status } = ended;
  if (status.kind !== "exited" || status.code !== 0) failures.push(`round ${rounds.get(pid)}: ${JSON.stringify(status)}`);
  rounds.delete(pid);
}

collect({ type: "major" });
for (let round = 0; round < forks; round++) {
  if (rounds.size === CHILDREN) reap();
  rounds.set(fork(() => child(round)), round);
  // The parent's heap changes between forks, as a resident parent's would.
  const item = items[(round * 7919) % OBJECTS];
  if (item !== undefined) items[item.id] = { ...item };
}
while (rounds.size > 0) reap();
console.log(JSON.stringify({ forks, failures, walked: walk(0) === walked(0) }));
