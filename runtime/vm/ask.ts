/** Asking the agent in a guest about a container. */
import * as v from "valibot";
import { POLLIN } from "../../linux/abi/poll.ts";
import type { OomNews, OomSource } from "../cgroups/index.ts";
import type { Container } from "../container/store.ts";
import { connectToAgent, talk } from "./connect.ts";
import { guestIdOf, machineDirectory } from "./group.ts";
import { parseFromAgent, type Question } from "./protocol.ts";

/** Milliseconds: the guest runs already. */
const ANSWER_TIMEOUT_MS = 30_000;

const processLine = v.strictObject({
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)), parent: v.pipe(v.number(), v.integer(), v.minValue(0)), uid: v.pipe(v.number(), v.integer(), v.minValue(0)), command: v.string(),
});
/** Numbers are the guest's. */
export type ProcessLine = v.InferOutput<typeof processLine>;

/** @returns JSON, which a hostile guest may have written. @throws Error with the agent's reason; where the guest does not answer */
export function askAgent(container: Container, question: Question): unknown {
  const channel = connectToAgent(machineDirectory(container), ANSWER_TIMEOUT_MS, () => undefined);
  using _socket = channel.fd;
  const answer = talk(channel, { kind: "ask", id: guestIdOf(container.record), question }, () => undefined);
  if (answer.kind !== "answer") throw new Error("the agent in the guest answers what was not asked");
  return JSON.parse(answer.text);
}

/** What the agent tells of a container's processes that were killed for want of memory. @throws Error with the agent's reason */
export function oomEventsInGuest(container: Container): OomSource {
  const channel = connectToAgent(machineDirectory(container), ANSWER_TIMEOUT_MS, () => undefined);
  talk(channel, { kind: "ask", id: guestIdOf(container.record), question: { do: "watch-oom" } }, () => undefined);
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
