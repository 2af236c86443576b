import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TtrpcClient } from "./client.ts";
import { serve } from "./server.ts";
import { CODE, RpcError } from "./status.ts";

const directory = mkdtempSync(join(tmpdir(), "tss-ttrpc-"));
const path = join(directory, "socket");
let server: Server;
let release: () => void = () => {};
const released = new Promise<void>((resolve) => void (release = resolve));

beforeAll(async () => {
  server = createServer();
  serve(server, {
    Test: {
      Echo: async (payload) => payload,
      Slow: async (payload) => (await released, payload),
      Missing: async () => {
        throw new RpcError(CODE.notFound, "there is none");
      },
      Broken: async () => {
        throw new Error("something else");
      },
    },
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
});
afterAll(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

const call = (method: string, text = "", service = "Test") => {
  const client = new TtrpcClient(path);
  return client.call(service, method, Buffer.from(text), 5000).then((bytes) => Buffer.from(bytes).toString()).finally(() => client.close());
};

test("answers with what the method returns", async () => {
  expect(await call("Echo", "hello")).toBe("hello");
  expect(await call("Echo", "x".repeat(1 << 20))).toBe("x".repeat(1 << 20));
});

test("a call that waits keeps no other waiting, on the same connection too", async () => {
  const client = new TtrpcClient(path);
  const slow = client.call("Test", "Slow", Buffer.from("later"), 5000);
  expect(Buffer.from(await client.call("Test", "Echo", Buffer.from("now"), 5000)).toString()).toBe("now");
  release();
  expect(Buffer.from(await slow).toString()).toBe("later");
  client.close();
});

test.each([
  ["Missing", "Test", CODE.notFound],
  ["Broken", "Test", CODE.unknown],
  ["Unheard", "Test", CODE.unimplemented],
  ["Echo", "Other", CODE.unimplemented],
  ["constructor", "Test", CODE.unimplemented],
])("%s of %s is answered with code %i", async (method, service, code) => {
  await expect(call(method, "", service)).rejects.toMatchObject({ code });
});

test("a connection that sends nonsense is closed, and others go on", async () => {
  const socket = connect(path);
  socket.on("error", () => {});
  socket.write(Buffer.alloc(64, 0xff));
  await new Promise((resolve) => socket.once("close", resolve));
  expect(await call("Echo", "still")).toBe("still");
});
