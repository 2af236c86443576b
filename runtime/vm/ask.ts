/** Asking the agent in a guest about a container. */
import * as v from "valibot";
import { POLLIN } from "../../linux/abi/poll.ts";
import type { Fd } from "../../linux/fd.ts";
import { now } from "../../linux/sleep.ts";
import type { OomNews, OomSource } from "../cgroups/index.ts";
import type { Container } from "../container/store.ts";
import { Channel } from "./channel.ts";
import { connectToAgent, talk } from "./connect.ts";
import { guestIdOf, machineDirectory } from "./group.ts";
import { MAX_AGENT_FRAME, parseFromAgent, type Question } from "./protocol.ts";

/** Milliseconds: the guest runs already. */
const ANSWER_TIMEOUT_MS = 30_000;

const processLine = v.strictObject({
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)), parent: v.pipe(v.number(), v.integer(), v.minValue(0)), uid: v.pipe(v.number(), v.integer(), v.minValue(0)), command: v.string(),
});
/** Numbers are the guest's. */
export type ProcessLine = v.InferOutput<typeof processLine>;

/** @returns JSON, which a hostile guest may have written. @throws Error with the agent's reason; where the guest does not answer */
export const askAgent = (container: Container, question: Question): unknown => JSON.parse(askForText(container, question));

function askForText(container: Container, question: Question): string {
  const channel = connectToAgent(machineDirectory(container), ANSWER_TIMEOUT_MS, () => undefined);
  using _socket = channel.fd;
  const answer = talk(channel, { kind: "ask", id: guestIdOf(container.record), question }, patience());
  if (answer.kind !== "answer") throw new Error("the agent in the guest answers what was not asked");
  return answer.text;
}

/** For who waits: a guest that runs on and says nothing is not waited for without end. */
function patience(): () => void {
  const end = now() + ANSWER_TIMEOUT_MS;
  return () => {
    if (now() > end) throw new Error(`the guest has not answered within ${ANSWER_TIMEOUT_MS / 1000} s`);
  };
}

/** The figures of a container in its guest, which are the guest's word. @throws Error as `askAgent` */
export const statsInGuest = (container: Container): unknown => parseFigures(askForText(container, { do: "stats" }));

/** JSON whose whole numbers stay what they are: above 2^53 they are bigint. */
export const parseFigures = (text: string): unknown => JSON.parse(text, keepWhole as (key: string, value: unknown) => unknown);

/** With the source of each value: ECMA-262 proposal-json-parse-with-source, in V8 since 11.4; TypeScript's lib has no type for it yet. */
function keepWhole(_key: string, value: unknown, { source = "" }: { readonly source?: string }): unknown {
  return typeof value === "number" && !Number.isSafeInteger(value) && /^\d{1,20}$/.test(source) ? BigInt(source) : value;
}

/** What the agent tells of a container's processes that were killed for want of memory. @throws Error with the agent's reason */
export const oomEventsInGuest = (container: Container): OomSource => oomSourceFrom(openOomWatch(container));

/** The connection by which it is told; for who must not wait for a guest, another process may open it. @throws Error with the agent's reason */
export function openOomWatch(container: Container): Fd {
  const channel = connectToAgent(machineDirectory(container), ANSWER_TIMEOUT_MS, () => undefined);
  talk(channel, { kind: "ask", id: guestIdOf(container.record), question: { do: "watch-oom" } }, patience());
  return channel.fd;
}

/** @param connection from `openOomWatch`, which it owns. */
export function oomSourceFrom(connection: Fd): OomSource {
  const channel = new Channel(connection, MAX_AGENT_FRAME);
  const take = (): OomNews => {
    channel.read();
    let news: OomNews = "none";
    for (let frame = channel.next(); frame !== undefined; frame = channel.next()) if (parseFromAgent(frame.content).kind === "oom") news = "oom";
    return news === "none" && channel.gone ? "gone" : news;
  };
  return { request: { fd: channel.fd, events: POLLIN }, take, [Symbol.dispose]: () => channel.fd.close() };
}

/** @throws Error as `askAgent` */
export function processesOf(container: Container): readonly ProcessLine[] {
  const parsed = v.safeParse(v.array(processLine), askAgent(container, { do: "processes" }));
  if (!parsed.success) throw new Error("the agent in the guest lists no processes");
  return parsed.output;
}
