/** The spans of a command. Without a collector nothing of the rest is loaded. */
import process from "node:process";
import type { Config } from "../config/schema.ts";
import { aboutContainer } from "./about.ts";
import { Tracing } from "./tracing.ts";

let tracing: Tracing | undefined;
let problem: string | undefined;

const hasCollector = ({ tracing: configured }: Config): boolean =>
  Boolean(process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] || process.env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] || configured?.endpoint);

/** @param directory that has the container's configuration: its bundle, or its state's. */
export async function traced<T>(name: string, config: Config, id: string, directory: string, action: () => T): Promise<T> {
  if (!hasCollector(config)) return action();
  tracing ??= new Tracing((message) => (problem = message));
  return await tracing.span(name, config.tracing?.endpoint, () => aboutContainer(id, directory), () => Promise.resolve().then(action));
}

/** An engine waits for the command. */
const FLUSH_MS = 1000;

/** @returns why spans were lost, if any were. */
export async function tracesSent(): Promise<string | undefined> {
  await tracing?.drained(FLUSH_MS);
  return problem;
}
