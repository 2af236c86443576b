/** `metrics`: once, for node_exporter's textfile collector, or by HTTP for Prometheus itself. */
import { rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import process from "node:process";
import { print } from "../print.ts";
import type { Registry } from "../registry.ts";
import { Collector } from "./collect.ts";

const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";
/** A client has one line to say. */
const REQUEST_TIMEOUT_MS = 5000;

export function registerMetrics({ program, action }: Registry): void {
  program
    .command("metrics")
    .description("print the metrics of all containers of this machine, in Prometheus' format")
    .option("--listen <address>", "serve them instead: HOST:PORT, [HOST]:PORT or unix:PATH, at /metrics")
    .action(
      action(async (globals, { listen }: { listen?: string }) => {
        const collector = new Collector(globals.config, [globals.root], (message) => globals.log.debug(message));
        if (listen === undefined) print(collector.collect().trimEnd());
        else await serve(listen, collector, (where) => globals.log.debug(`metrics at ${where}`));
        return 0;
      }),
    );
}

/** Until SIGTERM or SIGINT. @throws Error for an address that cannot be listened at. */
async function serve(listen: string, collector: Collector, listening: (where: string) => void): Promise<void> {
  const address = addressOf(listen);
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS }, ({ method, url }, response) => {
    if (method !== "GET" || url !== "/metrics") return void response.writeHead(url === "/metrics" ? 405 : 404).end();
    try {
      response.writeHead(200, { "content-type": CONTENT_TYPE }).end(collector.collect());
    } catch (error) {
      response.writeHead(500).end(`${String(error)}\n`);
    }
  });
  if ("path" in address) rmSync(address.path, { force: true });
  await begin(server, address);
  listening(listen);
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
  });
  server.close();
  if ("path" in address) rmSync(address.path, { force: true });
}

const begin = (server: Server, address: object): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(address, resolve);
  });

/** @throws Error */
export function addressOf(listen: string): { readonly path: string } | { readonly host: string; readonly port: number } {
  if (listen.startsWith("unix:/")) return { path: listen.slice("unix:".length) };
  const [, six, other, port = ""] = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})$/.exec(listen) ?? [];
  const host = six ?? other;
  if (host === undefined || Number(port) > 65535) throw new Error(`--listen: ${listen} is no address: give HOST:PORT, [HOST]:PORT or unix:PATH; a host, since whoever reaches it reads what runs here`);
  return { host, port: Number(port) };
}
