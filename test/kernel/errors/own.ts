/** Our own runtime: what is tested here are its promises, not the contract that others are held to as well. */
import { join } from "node:path";
import { expect } from "vitest";
import { Container, type ContainerOptions } from "../../support/container.ts";
import { projectRoot } from "../../support/paths.ts";
import type { Result } from "../../support/runtime.ts";

/** From this checkout, or from where TSSANDBOX_TEST_RUNTIMES has it. */
export const runtimePath = process.env["TSSANDBOX_TEST_RUNTIMES"]?.split(",").find((name) => name.endsWith("/tssandbox")) ?? join(projectRoot, "bin/tssandbox");

export function make(options: ContainerOptions = {}): Container {
  return new Container({ path: runtimePath, version: "tssandbox" }, options);
}

export function expectOneLine({ code, stdout, stderr }: Result, failure: number): void {
  expect({ code, stdout }, stderr).toEqual({ code: failure, stdout: "" });
  expect(stderr).toMatch(/^tssandbox: [^\n]+\n$/);
}

export async function forceDelete(c: Container): Promise<void> {
  expect(await c.delete("--force")).toMatchObject({ code: 0, stdout: "", stderr: "" });
  await c.expectNothingLeft();
}
